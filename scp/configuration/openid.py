"""The section of the configuration about users of the console whom an OpenID provider vouches for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from scp.configuration.values import Section, absolute
from scp.configuration.web import ENVIRONMENT, is_loopback

BACK: Final = "/sign-in/openid/back"
"""The page of the console to which the provider sends browsers back."""
EVERY_USER: Final = "*"
"""Stands for every group: whoever the provider lets in."""


def address(text: str) -> str:
    """Return ``text`` without a slash at its end, if what is sent there is encrypted. Raises ValueError."""
    parts = urlsplit(text)
    if text and (not parts.hostname or parts.query or parts.fragment or parts.username):
        raise ValueError('an address such as "https://login.hospital.example" is allowed')
    if text and parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise ValueError("an https address is allowed: who signs in would be readable on its way")
    return text.rstrip("/")


Address = Annotated[str, Field(max_length=500), AfterValidator(address)]
Groups = tuple[Annotated[str, Field(min_length=1, max_length=200)], ...]


class OpenID(Section):
    """Who signs in to the console by OpenID Connect. Section ``[openid]``."""

    issuer: Address = ""
    """The provider, as its discovery document names itself; empty: nobody signs in so."""
    client_id: Annotated[str, Field(max_length=200)] = ""
    """What the provider calls this console."""
    client_secret: str | None = None
    """A file, or ``env:NAME``, with what the console proves it with; empty: a public client."""
    address: Address = ""
    """How browsers call the console; the provider sends them back to ``/sign-in/openid/back`` there."""
    scopes: Groups = ("openid", "profile")
    """What is asked of the provider."""
    name_claim: Annotated[str, Field(min_length=1, max_length=100)] = "preferred_username"
    """The claim with the user's name."""
    role_claim: Annotated[str, Field(min_length=1, max_length=100)] = "groups"
    """The claim with the user's groups; one inside of another is written ``realm_access.roles``."""
    admins: Groups = ()
    """Groups whose members are admins."""
    operators: Groups = ()
    """Groups whose members are operators."""
    viewers: Groups = ()
    """Groups whose members are viewers; ``"*"`` is whoever the provider lets in."""
    authorities: Path | None = None
    """PEM file: authorities that may have signed its certificate; empty: those of Python's certifi."""

    @field_validator("client_secret", "authorities", mode="before")
    @classmethod
    def _absolute(cls, value: object, info: ValidationInfo) -> object:
        named = isinstance(value, str) and value.startswith(ENVIRONMENT)
        return value if named else absolute(value, info)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.issuer and not (self.client_id and self.address):
            raise ValueError(
                "openid.issuer needs client_id and address: by them the provider knows the console"
            )
        if self.issuer and not (self.admins or self.operators or self.viewers):
            raise ValueError(
                'openid.issuer lets nobody in: name groups in admins, operators or viewers ("*" is anybody)'
            )
        return self

    @property
    def on(self) -> bool:
        """Whether anybody signs in so."""
        return bool(self.issuer)

    @property
    def back(self) -> str:
        """The address to register at the provider: where it sends browsers back to."""
        return self.address + BACK
