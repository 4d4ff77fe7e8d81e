"""The section of the configuration about files that are kept in a bucket instead of the data directory."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator

from scp.configuration.values import Section, absolute
from scp.configuration.web import ENVIRONMENT

MEGABYTE: Final = 1_000_000
_URL: Final = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.-]+)*/?", re.ASCII)
"""A name that every server takes as a bucket's, and a prefix that needs no escape."""


class Files(Section):
    """Where images and results are kept. Section ``[files]``."""

    url: Annotated[str, Field(max_length=500)] = ""
    """``s3://bucket/prefix``, for this node alone; empty: folders of ``[node] data_dir``."""
    endpoint: Annotated[str, Field(max_length=500)] = ""
    """``https://host:port`` of the server; empty: Amazon's own of the region."""
    region: Annotated[str, Field(min_length=1, max_length=50)] = "us-east-1"
    """What requests are signed for; servers that have no regions take this one."""
    path_style: bool = True
    """Whether the bucket stands in the path of a request; false: before the name of the host."""
    credentials: str | None = None
    """A file, or ``env:NAME``, with ``ACCESS_KEY:SECRET_KEY``; empty: boto3's own way to find them."""
    authorities: Path | None = None
    """PEM file: authorities that may have signed the server's certificate; empty: those of botocore."""
    copies_mb: Annotated[int, Field(ge=100, le=10_000_000)] = 10_000
    """So many megabytes of files are kept on the disk of each machine, those used last."""

    @field_validator("url")
    @classmethod
    def _understood(cls, value: str) -> str:
        parts = _URL.fullmatch(value)
        if value and (parts is None or ".." in value):
            raise ValueError('"s3://bucket" or "s3://bucket/prefix" is allowed')
        return value.rstrip("/")

    @field_validator("endpoint")
    @classmethod
    def _address(cls, value: str) -> str:
        parts = urlsplit(value)
        named = parts.path.strip("/") or parts.query or parts.fragment or parts.username
        if value and (parts.scheme not in {"http", "https"} or not parts.hostname or named):
            raise ValueError('the address of a server such as "https://s3.hospital.example:9000" is allowed')
        return value.rstrip("/")

    @field_validator("credentials", "authorities", mode="before")
    @classmethod
    def _absolute(cls, value: object, info: ValidationInfo) -> object:
        in_environment = isinstance(value, str) and value.startswith(ENVIRONMENT)
        return value if in_environment else absolute(value, info)

    @property
    def in_bucket(self) -> bool:
        """Whether the files are in a bucket."""
        return bool(self.url)

    @property
    def bucket(self) -> str:
        """The bucket, where there is one."""
        return urlsplit(self.url).netloc

    @property
    def prefix(self) -> str:
        """What every key in it begins with, without a slash at its ends."""
        return urlsplit(self.url).path.strip("/")
