"""The section of the configuration about the console: the node's web pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from scp.configuration.values import Host, Section, absolute


class Console(Section):
    """The node's web pages, in a process of their own. Section ``[console]``."""

    enabled: bool = True
    """Whether the node starts them."""
    host: Host = "127.0.0.1"
    """Address to listen at; by default this machine alone can open them."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port to listen at; 0 takes a free one, which the log names."""
    upload_mb: Annotated[int, Field(ge=1, le=4000)] = 256
    """Megabytes of one upload, all its files together."""
    names: tuple[Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9.-]+$")], ...] = ()
    """Host names by which others call it; beside them it answers to those of this machine."""
    certificate: Path | None = None
    """PEM file: the certificate for HTTPS, then those up to its authority. Empty: no HTTPS."""
    key: Path | None = None
    """PEM file: its private key, without a password."""
    behind_proxy: bool = False
    """Whether a proxy of this site ends HTTPS and passes on what it gets."""
    session_minutes: Annotated[float, Field(gt=0, le=1440, allow_inf_nan=False)] = 30
    """So long after the last sign of life of who sent it an upload is forgotten."""

    _absolute = field_validator("certificate", "key", mode="before")(absolute)

    @model_validator(mode="after")
    def _together(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("console.certificate and console.key go together: both for HTTPS, or none")
        return self

    @property
    def secure(self) -> bool:
        """Whether what browsers send is encrypted on its way."""
        return self.certificate is not None or self.behind_proxy
