"""What the configuration says of DICOMweb (PS3.18): a peer that is called by it."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from scp.configuration.values import Section, resolved

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

    @field_validator("url_credentials", "url_authorities", mode="before")
    @classmethod
    def _absolute(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str) or value.startswith(ENVIRONMENT):
            return value
        return str(resolved(Path(value), info)) if value else None

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


def _loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
