"""The section of the configuration about the audit trail (PS3.15 A.5 to A.7)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator

from scp.configuration.values import Section, resolved

PORTS: Final = {"tls": 6514, "tcp": 601, "udp": 514}
"""Where a syslog receiver listens by default (RFC 5425, RFC 3195, RFC 5426)."""
FILE: Final = "file"


class Audit(Section):
    """Where the audit trail goes. Section ``[audit]``."""

    to: Annotated[str, Field(max_length=500)] = ""
    """``tls://host:port``, ``tcp://host:port``, ``udp://host:port`` or ``file:path``; empty: none."""
    queue: Annotated[int, Field(ge=10, le=1_000_000)] = 10_000
    """So many messages wait on the disk while the receiver takes none; more are lost, and counted."""

    @field_validator("to")
    @classmethod
    def _understood(cls, value: str, info: ValidationInfo) -> str:
        if not value:
            return value
        scheme, _, path = value.partition(":")
        if scheme == FILE and path and not path.startswith("//"):
            return f"{FILE}:{resolved(Path(path), info)}"
        parts = urlsplit(value)
        try:
            usable = parts.scheme in PORTS and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            usable = False
        if not usable or parts.path or parts.query or parts.fragment or parts.username:
            raise ValueError(
                '"tls://audit.example.org:6514", "tcp://…", "udp://…" or "file:./audit.log" is allowed'
            )
        return value

    @property
    def on(self) -> bool:
        """Whether there is an audit trail."""
        return bool(self.to)

    @property
    def encrypted(self) -> bool:
        """Whether the receiver is called with TLS."""
        return self.to.startswith("tls:")

    @property
    def file(self) -> Path | None:
        """The file to append to, where it is one."""
        scheme, _, path = self.to.partition(":")
        return Path(path) if scheme == FILE else None

    @property
    def receiver(self) -> tuple[str, str, int]:
        """The scheme, host and port to call, where it is no file."""
        parts = urlsplit(self.to)
        return parts.scheme, parts.hostname or "", parts.port or PORTS[parts.scheme]
