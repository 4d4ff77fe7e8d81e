"""What the configuration says of DICOMweb (PS3.18): a peer that is called by it, and who may store by it."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from scp.configuration.values import Host, Section, absolute

ENVIRONMENT = "env:"
"""What a name of an environment variable begins with, where a file may be named as well."""


def _url(text: str) -> str:
    """Check the root of a DICOMweb service; return it without a slash at its end."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(
            'the root of a DICOMweb service such as "https://pacs.example.org/dicom-web" is allowed'
        )
    if parts.username or parts.password:
        raise ValueError("no password may stand in a URL: name a file with it in url_credentials")
    return text.rstrip("/")


class WebPeer(Section):
    """How a peer is called by DICOMweb. Part of each ``[[peers]]``."""

    url: Annotated[str, Field(max_length=500), AfterValidator(_url)] | None = None
    """Where it receives by STOW-RS, instead of host and port; ``fetch`` asks it by QIDO-RS and WADO-RS."""
    url_credentials: str | None = None
    """A file, or ``env:NAME``, with ``user:password`` or ``Bearer TOKEN``; empty: none are asked for."""
    url_authorities: Path | None = None
    """PEM file: authorities that may have signed its certificate; empty: those of Python's certifi."""

    stow_token: str | None = None
    """A file, or ``env:NAME``, with the token with which it stores by STOW-RS; empty: it does not."""

    @field_validator("url_credentials", "url_authorities", "stow_token", mode="before")
    @classmethod
    def _absolute(cls, value: object, info: ValidationInfo) -> object:
        in_environment = isinstance(value, str) and value.startswith(ENVIRONMENT)
        return value if in_environment else absolute(value, info)

    @model_validator(mode="after")
    def _not_in_clear(self) -> Self:
        if self.url is None:
            if self.url_credentials is not None or self.url_authorities is not None:
                raise ValueError(
                    "url_credentials and url_authorities belong to a url: give it, or take them away"
                )
            return self
        if self.url_credentials is not None and self.url.startswith("http:") and not _loopback(self.url):
            raise ValueError(
                "url_credentials would be sent in clear for everybody to read: give an https url"
            )
        return self


class Stow(Section):
    """STOW-RS as a way in, for peers with ``stow_token``. Section ``[stow]``."""

    enabled: bool = False
    """Whether the node listens for it."""
    host: Host = "127.0.0.1"
    """Address to listen at; any other than this machine's own needs ``[tls]``, whose certificate it shows."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8104
    """Port to listen at; 0 takes a free one, which the log names."""
    request_mb: Annotated[int, Field(ge=1, le=1_000_000)] = 4000
    """Megabytes that one request may have, all its images together."""

    @property
    def local(self) -> bool:
        """Whether this machine alone can call."""
        return is_loopback(self.host)


def _loopback(url: str) -> bool:
    return is_loopback(urlsplit(url).hostname)


def is_loopback(host: str | None) -> bool:
    """Tell whether ``host`` is this machine: what is sent there, nobody else reads."""
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost"
