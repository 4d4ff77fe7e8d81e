"""The section of the configuration about alerts: who is told of what needs a person, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from scp.configuration.values import Host, Port, Section, absolute
from scp.configuration.web import ENVIRONMENT, is_loopback


def _webhook(text: str) -> str:
    """Check the address of a webhook; empty is none."""
    parts = urlsplit(text)
    if text and (parts.scheme not in {"http", "https"} or not parts.hostname):
        raise ValueError('an address such as "https://hooks.example.org/secondread" is allowed')
    if parts.username or parts.password:
        raise ValueError("no password may stand in a URL: name a file with it in webhook_credentials")
    return text


Mailbox = Annotated[str, Field(max_length=254, pattern=r"^[^@\s<>,]+@[^@\s<>,]+$")]


class Alerts(Section):
    """Who is told of what needs a person. Section ``[alerts]``."""

    mail_to: tuple[Mailbox, ...] = ()
    """Mailboxes that are told; none: no e-mail."""
    mail_from: Mailbox | None = None
    """Who the e-mails are from; by default the first of ``mail_to``."""
    mail_host: Host | None = None
    """The mail server that takes them."""
    mail_port: Port = 587
    """Its port: usually 587 with STARTTLS, 465 with TLS from the first byte, 25 without."""
    mail_security: Literal["starttls", "tls", "none"] = "starttls"
    """How it is spoken to; "none" sends in clear, and no login."""
    mail_login: str | None = None
    """A file, or ``env:NAME``, with ``user:password``; empty: it asks for none."""
    mail_authorities: Path | None = None
    """PEM file: authorities that may have signed its certificate; empty: those of this machine."""
    webhook_url: Annotated[str, Field(max_length=500), AfterValidator(_webhook)] = ""
    """Where the same is posted as JSON; empty: nowhere."""
    webhook_credentials: str | None = None
    """A file, or ``env:NAME``, with ``user:password`` or ``Bearer TOKEN``; empty: it asks for none."""
    webhook_authorities: Path | None = None
    """PEM file: authorities that may have signed its certificate; empty: those of Python's certifi."""
    peer_minutes: Annotated[float, Field(gt=0, le=10_080, allow_inf_nan=False)] = 60
    """So long a peer may take nothing of what it is owed, before somebody is told."""
    repeat_hours: Annotated[float, Field(ge=1, le=720, allow_inf_nan=False)] = 24
    """So long after a message it is repeated, while nothing has changed."""

    @field_validator("mail_from", "mail_host", mode="before")
    @classmethod
    def _none_given(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator(
        "mail_login", "mail_authorities", "webhook_credentials", "webhook_authorities", mode="before"
    )
    @classmethod
    def _absolute(cls, value: object, info: ValidationInfo) -> object:
        named = isinstance(value, str) and value.startswith(ENVIRONMENT)
        return value if named else absolute(value, info)

    @model_validator(mode="after")
    def _mail_is_whole(self) -> Self:
        if self.mail_to and self.mail_host is None:
            raise ValueError("alerts.mail_to needs a mail_host: name the server that takes the e-mails")
        if self.mail_login is not None and self.mail_security == "none" and not is_loopback(self.mail_host):
            raise ValueError(
                'alerts.mail_login would be sent in clear for all to read: set mail_security = "starttls"'
            )
        return self

    @model_validator(mode="after")
    def _webhook_is_safe(self) -> Self:
        if self.webhook_credentials is None:
            return self
        if not self.webhook_url:
            raise ValueError("alerts.webhook_credentials belong to a webhook_url: give it, or take them away")
        parts = urlsplit(self.webhook_url)
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ValueError(
                "alerts.webhook_credentials would be sent in clear for everybody to read: give an https URL"
            )
        return self
