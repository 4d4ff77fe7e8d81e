"""The part of ``check`` that calls the servers of alerts, sign-in and audit trail, and alarms nobody.

No message is sent: to a mail server one is announced and taken back, a webhook is asked by HEAD, an audit
receiver gets a connection and nothing over it. That a message arrives ``alert test`` shows.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from scp.alerts import channels
from scp.alerts.channels import ChannelError
from scp.auditing import syslog
from scp.configuration.openid import OpenID
from scp.configuration.settings import Settings
from scp.network import openid_provider, secrets, tls_reasons, web_reasons
from scp.network.openid_provider import ProviderError
from scp.network.secrets import SecretError
from scp.network.tls import FilesError
from scp.operating.checking.outcomes import Check, failed, note, ok

MAIL: Final = "alerts: mail"
WEBHOOK: Final = "alerts: webhook"
OPENID: Final = "OpenID provider"
AUDIT: Final = "audit trail"


def calls(settings: Settings) -> Iterator[Callable[[], Iterator[Check]]]:
    """Give what calls each server that is configured: each of them may be silent for seconds."""
    if settings.alerts.mail_to:
        yield partial(mail, settings)
    if settings.alerts.webhook_url:
        yield partial(webhook, settings)
    if settings.openid.on:
        yield partial(openid, settings.openid)
    if settings.audit.on:
        yield partial(audit, settings)


def mail(settings: Settings) -> Iterator[Check]:
    """Sign in to the mail server, and ask it whether it would take a message for each of ``mail_to``."""
    alerts = settings.alerts
    place = f"{alerts.mail_host}, port {alerts.mail_port}"
    try:
        refused = channels.announce_mail(alerts)
    except ChannelError as error:
        yield failed(MAIL, f"{error}; correct [alerts]")
        return
    if refused:
        names = ", ".join(refused)
        yield failed(MAIL, f"{place} takes no mail for {names}: correct mail_to, or let the server take it")
        return
    yield ok(MAIL, f"{place} takes mail for all of mail_to; `alert test` sends one")


def webhook(settings: Settings) -> Iterator[Check]:
    """Ask the web server of the webhook, without a message."""
    try:
        status = channels.knock(settings.alerts)
    except ChannelError as error:
        yield failed(WEBHOOK, f"{error}; correct [alerts]")
        return
    if status in web_reasons.CREDENTIALS_REFUSED:
        words = f"it answers {status}: correct webhook_credentials, if `alert test` says the same"
        yield note(WEBHOOK, words)
        return
    if status in channels.KNOCK_UNDERSTOOD:
        yield ok(WEBHOOK, f"it answers ({status} to HEAD); `alert test` sends a message")
        return
    yield note(WEBHOOK, f"it answers {status} to HEAD: `alert test` shows whether it takes messages")


def openid(settings: OpenID) -> Iterator[Check]:
    """Read what the provider says about itself, and the keys that it signs with; sign nobody in."""
    try:
        _, keys = openid_provider.ask(settings)
        if settings.client_secret is not None:
            secrets.read(settings.client_secret)
    except ProviderError as error:
        yield failed(OPENID, str(error))
        return
    except SecretError as error:
        yield failed(OPENID, f"[openid] client_secret: {error}")
        return
    yield ok(
        OPENID, f"{settings.issuer} answers, with {len(keys.keys)} keys; register there: {settings.back}"
    )


def audit(settings: Settings) -> Iterator[Check]:
    """Connect to the receiver, with TLS where it is wanted, or open the file; send nothing."""
    section = settings.audit
    try:
        syslog.transport(section, settings.tls).probe()
    except FilesError as error:
        yield failed(AUDIT, f"{section.to} is not called, because {error}")
        return
    except OSError as error:
        yield failed(AUDIT, f"{section.to}: {_reason(error)}: correct [audit] to, or start the receiver")
        return
    if section.to.startswith("udp:"):
        yield note(AUDIT, f"{section.to}: by UDP nobody answers, so look there for the node's start")
    else:
        yield ok(AUDIT, f"{section.to} can be written to")


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return tls_reasons.reason_of(error)
    if isinstance(error, TimeoutError):
        return "nothing answers there in time"
    return error.strerror or str(error)
