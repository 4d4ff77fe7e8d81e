"""How messages are sent: by e-mail over SMTP, and as JSON to a webhook. The only user of smtplib.

`announce_mail` and `knock` go as far on these ways as nobody is told anything.
"""

from __future__ import annotations

import contextlib
import email.utils
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
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
WEBHOOK: Final = "[alerts] webhook_url"
HTTP_OK: Final = 200
HTTP_ELSEWHERE: Final = 300
KNOCK_UNDERSTOOD: Final = frozenset({200, 202, 204, 400, 405, 415, 501})
"""Answers to HEAD of what takes POST (RFC 9110 15)."""
SMTP_OK: Final = 250
SMTP_TAKEN: Final = frozenset({250, 251})
"""Answers about a recipient (RFC 5321 4.2.3)."""
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
    with _mail_server(alerts) as server:
        refused = server.send_message(_mail(settings, news, now), to_addrs=list(alerts.mail_to))
    if refused:  # the others have got it: sent again, they would get it again
        log.warning("alert not taken for all of mail_to", server=_place(alerts), refused=len(refused))


def announce_mail(alerts: Alerts) -> list[str]:
    """Announce a message and take it back; return for whom it would not be taken. Raises ChannelError."""
    with _mail_server(alerts) as server:
        server.noop()
        code, _ = server.mail(_sender(alerts))
        if code != SMTP_OK:
            reason = f"it takes no mail from {_sender(alerts)} ({code})"
            raise ChannelError(f"{_place(alerts)}: {reason}: set mail_from, or mail_login if it wants one")
        refused = [mailbox for mailbox in alerts.mail_to if server.rcpt(mailbox)[0] not in SMTP_TAKEN]
        server.rset()
    return refused


def post(settings: Settings, news: News | None, now: datetime) -> None:
    """Post the same as JSON. Raises ChannelError."""
    status = _ask_webhook(settings.alerts, "POST", _fields(settings, news, now))
    if not HTTP_OK <= status < HTTP_ELSEWHERE:
        raise ChannelError(f"{WEBHOOK}: it answers {status}")


def knock(alerts: Alerts) -> int:
    """Ask the webhook by HEAD, which tells nobody anything; return its answer. Raises ChannelError."""
    return _ask_webhook(alerts, "HEAD", None)


def _ask_webhook(alerts: Alerts, method: str, content: dict[str, Any] | None) -> int:
    # imported here: a node without a webhook starts without it
    import requests  # noqa: PLC0415

    _check_file(alerts.webhook_authorities, "webhook_authorities")
    try:
        with requests.Session() as session:
            web_session.secure(
                session,
                authorities=alerts.webhook_authorities,
                credentials=alerts.webhook_credentials,
                silence=SECONDS,
            )
            answer = session.request(
                method,
                alerts.webhook_url,
                json=content,
                timeout=SECONDS,
                allow_redirects=False,
            )
    except SecretError as error:
        raise ChannelError(f"[alerts] webhook_credentials: {error}") from error
    except UnicodeEncodeError as error:
        raise ChannelError("[alerts] webhook_credentials: a token has ASCII characters alone") from error
    except requests.exceptions.SSLError as error:
        raise ChannelError(f"{WEBHOOK}: its certificate or its TLS is not accepted") from error
    except requests.RequestException as error:
        if error.response is None:
            raise ChannelError(f"{WEBHOOK}: {web_session.no_answer(error)}") from error
        answer = error.response  # its status counts; what else it says has no end, and no reader
    except OSError as error:
        raise ChannelError(f"{WEBHOOK}: {web_session.no_answer(error)}") from error
    return int(answer.status_code)


def _check_file(path: Path | None, key: str) -> None:
    if path is not None and not path.is_file():
        raise ChannelError(f"[alerts] {key} = {path} is no file")


@contextlib.contextmanager
def _mail_server(alerts: Alerts) -> Iterator[smtplib.SMTP]:
    """Give the mail server, signed in to; what fails there, also later, becomes a ChannelError."""
    _check_file(alerts.mail_authorities, "mail_authorities")
    try:
        with _connected(alerts) as server:
            if alerts.mail_login is not None:
                user, _, password = secrets.read(alerts.mail_login).partition(":")
                server.login(user, password)
            yield server
    except SecretError as error:
        raise ChannelError(f"[alerts] mail_login: {error}") from error
    except (OSError, UnicodeEncodeError) as error:
        raise ChannelError(f"{_place(alerts)}: {_smtp_reason(error)}") from error


def _place(alerts: Alerts) -> str:
    return f"mail server {alerts.mail_host}, port {alerts.mail_port}"


def _sender(alerts: Alerts) -> str:
    return alerts.mail_from or alerts.mail_to[0]


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
    alerts, name, sender = settings.alerts, settings.node.ae_title, _sender(settings.alerts)
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
