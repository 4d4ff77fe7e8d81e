"""The section of the configuration about TLS."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from scp.configuration.values import Section, absolute


class TLS(Section):
    """DICOM over TLS, in both directions (PS3.15 B.12). Section ``[tls]``."""

    certificate: Path | None = None
    """PEM file: this node's certificate, then those between it and its authority. Empty: no TLS."""
    key: Path | None = None
    """PEM file: its private key, without a password, readable for the node's user alone."""
    authorities: Path | None = None
    """PEM file: certificates of the authorities that have signed those of the peers."""
    revocation_lists: Path | None = None
    """PEM file: certificate revocation lists (CRL) of those authorities. Empty: nothing counts as revoked."""
    port: Annotated[int, Field(ge=0, le=65535)] = 2762
    """Port to listen at with TLS (2762 is IANA's dicom-tls); 0 takes a free one, which the log names."""
    client_certificate: Literal["required", "optional"] = "required"
    """Whether who calls must show a certificate. One that is shown is always checked."""
    only: bool = False
    """Whether the port without TLS stays closed."""

    _absolute = field_validator("certificate", "key", "authorities", "revocation_lists", mode="before")(
        absolute
    )

    @model_validator(mode="after")
    def _all_or_nothing(self) -> Self:
        files = {"certificate": self.certificate, "key": self.key, "authorities": self.authorities}
        missing = [f"tls.{name}" for name, value in files.items() if value is None]
        if 0 < len(missing) < len(files):
            raise ValueError(
                f"{' and '.join(missing)} missing: certificate, key and authorities go together, all of them "
                "for TLS or none"
            )
        if self.revocation_lists is not None and missing:
            raise ValueError(
                "tls.revocation_lists without certificate, key and authorities is looked at by nobody: give "
                "them, or take it away"
            )
        if self.only and missing:
            raise ValueError(
                "tls.only = true without certificate, key and authorities leaves no port to call: give them, "
                "or set it to false"
            )
        return self

    @property
    def files(self) -> Mapping[str, Path | None]:
        """What is read, by its key."""
        return {
            "certificate": self.certificate,
            "key": self.key,
            "authorities": self.authorities,
            "revocation_lists": self.revocation_lists,
        }

    @property
    def on(self) -> bool:
        """Whether there is TLS at all."""
        return self.certificate is not None
