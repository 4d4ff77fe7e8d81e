"""How messages are sent: by e-mail over SMTP, and as JSON to a webhook. The only user of smtplib."""

from __future__ import annotations

import email.utils
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterable
from datetime import datetime
from email.message import EmailMessage
from typing import Any, Final

import structlog

from scp import product
from scp.alerts.book import News
from scp.configuration.alerts import Alerts
from scp.configuration.settings import Settings
from scp.network import secrets, web_session
from scp.network.secrets import SecretError
from storage.alerts import Notice

log = structlog.get_logger(__name__)

SECONDS: Final = 20.0
"""How long a server may be silent."""
PROBE: Final = "This is a test: messages about what needs a person come this way."

Send = Callable[[Settings, News | None, datetime], None]
"""Sends a message over a channel; without news it is a test. Raises ChannelError."""


class ChannelError(Exception):
    """A message was not sent; the sentence says why."""


def configured(settings: Alerts) -> dict[str, Send]:
    """Return the channels that the configuration has, by name."""
    channels: dict[str, Send] = {}
    if settings.mail_to:
        channels["mail"] = send_mail
    if settings.webhook_url:
        channels["webhook"] = post
    return channels


def send_mail(settings: Settings, news: News | None, now: datetime) -> None:
    """Send an e-mail to everybody who is to be told. Raises ChannelError."""
    alerts = settings.alerts
    place = f"mail server {alerts.mail_host}, port {alerts.mail_port}"
    try:
        with _connected(alerts) as server:
            if alerts.mail_login is not None:
                user, _, password = secrets.read(alerts.mail_login).partition(":")
                server.login(user, password)
            refused = server.send_message(_mail(settings, news, now), to_addrs=list(alerts.mail_to))
    except SecretError as error:
        raise ChannelError(f"[alerts] mail_login: {error}") from error
    except (OSError, UnicodeEncodeError) as error:
        raise ChannelError(f"{place}: {_smtp_reason(error)}") from error
    if refused:  # the others have got it: sent again, they would get it again
        log.warning("alert not taken for all of mail_to", server=place, refused=len(refused))


def post(settings: Settings, news: News | None, now: datetime) -> None:
    """Post the same as JSON. Raises ChannelError."""
    # imported here: a node without a webhook starts without it
    import requests  # noqa: PLC0415

    alerts = settings.alerts
    place = "[alerts] webhook_url"
    try:
        with requests.Session() as session:
            web_session.secure(
                session, authorities=alerts.webhook_authorities, credentials=alerts.webhook_credentials
            )
            answer = session.post(
                alerts.webhook_url,
                json=_fields(settings, news, now),
                timeout=SECONDS,
                allow_redirects=False,
                stream=True,  # what it answers is read by nobody
            )
    except SecretError as error:
        raise ChannelError(f"[alerts] webhook_credentials: {error}") from error
    except UnicodeEncodeError as error:
        raise ChannelError("[alerts] webhook_credentials: a token has ASCII characters alone") from error
    except requests.exceptions.SSLError as error:
        raise ChannelError(f"{place}: its certificate or its TLS is not accepted") from error
    except (requests.RequestException, OSError) as error:
        raise ChannelError(f"{place}: nothing answers there ({type(error).__name__})") from error
    if not answer.ok or answer.is_redirect:
        raise ChannelError(f"{place}: it answers {answer.status_code}")


def _connected(alerts: Alerts) -> smtplib.SMTP:
    host, port = str(alerts.mail_host), alerts.mail_port
    name = socket.gethostname()
    if alerts.mail_security == "none":
        return smtplib.SMTP(host, port, local_hostname=name, timeout=SECONDS)
    context = ssl.create_default_context(cafile=alerts.mail_authorities)
    if alerts.mail_security == "tls":
        return smtplib.SMTP_SSL(host, port, local_hostname=name, timeout=SECONDS, context=context)
    server = smtplib.SMTP(host, port, local_hostname=name, timeout=SECONDS)
    try:
        server.starttls(context=context)
    except (smtplib.SMTPException, OSError):
        server.close()
        raise
    return server


def _smtp_reason(error: Exception) -> str:
    """Say what is wrong; a server's own words are left out, they may repeat what was sent."""
    match error:
        case UnicodeEncodeError():
            return "SMTP takes ASCII characters alone in a login"
        case smtplib.SMTPAuthenticationError():
            return f"it does not take the login ({error.smtp_code})"
        case smtplib.SMTPRecipientsRefused():
            return "it takes mail for nobody in mail_to"
        case smtplib.SMTPResponseException():
            return f"it answers {error.smtp_code}"
        case ssl.SSLCertVerificationError():
            return f"its certificate is refused: {error.verify_message}"
        case _:
            return str(getattr(error, "strerror", None) or error)


def _mail(settings: Settings, news: News | None, now: datetime) -> EmailMessage:
    alerts, name = settings.alerts, settings.node.ae_title
    sender = alerts.mail_from or alerts.mail_to[0]
    message = EmailMessage()
    message["Subject"] = f"SecondRead {name}: {_summary(news)}"
    message["From"] = email.utils.formataddr((f"SecondRead {name}", sender))
    message["To"] = ", ".join(alerts.mail_to)
    message["Date"] = email.utils.format_datetime(now)
    message["Message-ID"] = email.utils.make_msgid(domain=sender.partition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # so that no absence is answered to it (RFC 3834 5)
    message.set_content(_text(news))
    return message


def _text(news: News | None) -> str:
    if news is None:
        return f"{PROBE}\n"
    parts = (("New:", news.raised), ("Still so:", news.repeated), ("Over:", news.over))
    paragraphs = ["\n".join([title, *map(_line, notices)]) for title, notices in parts if notices]
    more = f"More on {socket.gethostname()}: python -m scp status, or the console."
    return "\n\n".join([*paragraphs, more]) + "\n"


def _line(notice: Notice) -> str:
    return f"- {notice.words} (since {notice.raised_at:%Y-%m-%d %H:%M} UTC)"


def _summary(news: News | None) -> str:
    if news is None:
        return "test"
    parts = ((news.raised, "new"), (news.repeated, "still so"), (news.over, "over"))
    return ", ".join(f"{len(notices)} {word}" for notices, word in parts if notices)


def _fields(settings: Settings, news: News | None, now: datetime) -> dict[str, Any]:
    """Return what is posted; ``text`` is what chat programs show."""
    return {
        "product": product.MANUFACTURER,
        "version": product.__version__,
        "node": settings.node.ae_title,
        "at": now.isoformat(),
        "text": f"SecondRead {settings.node.ae_title}: {_summary(news)}\n{_text(news)}",
        "raised": _entries(() if news is None else news.raised),
        "repeated": _entries(() if news is None else news.repeated),
        "over": _entries(() if news is None else news.over),
    }


def _entries(notices: Iterable[Notice]) -> list[dict[str, str]]:
    return [
        {
            "kind": notice.kind,
            "subject": notice.subject,
            "words": notice.words,
            "since": notice.raised_at.isoformat(),
        }
        for notice in notices
    ]
