"""A real mail server on loopback (aiosmtpd), with STARTTLS or TLS and a login; it keeps what it takes."""

import email
import ssl
from contextlib import contextmanager
from email import policy

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from tests.support.peers import free_port

LOGIN = LoginPassword(b"node", b"correct horse battery")


class MailBox:
    """What came, and what is answered instead where it is set."""

    def __init__(self):
        self.messages = []
        self.logins = []
        self.refusal = None
        self.strangers = set()
        """Recipients for whom it takes nothing."""

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802 - the same
        if address in self.strangers:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, session, envelope):  # noqa: N802 - the library looks for this name
        if self.refusal:
            return self.refusal
        self.messages.append(email.message_from_bytes(envelope.content, policy=policy.default))
        self.logins.append(session.authenticated)
        return "250 OK"


class _Server(Controller):
    """aiosmtpd's controller wraps the whole connection in TLS; STARTTLS is the server's own."""

    def __init__(self, box, *, security, context, **address):
        self._options = {
            "authenticator": lambda _server, _session, _envelope, _mechanism, data: AuthResult(
                success=data == LOGIN, handled=False
            ),
        }
        if security == "starttls":
            self._options |= {"tls_context": context, "require_starttls": True, "auth_required": True}
        else:
            self._options |= {"auth_require_tls": False}
        super().__init__(box, ssl_context=context if security == "tls" else None, **address)

    def factory(self):
        return SMTP(self.handler, **self._options)


@contextmanager
def mail_server(certificate, key, *, security="starttls"):
    """Run it; give its mailbox and its port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    box, port = MailBox(), free_port()
    server = _Server(box, security=security, context=context, hostname="127.0.0.1", port=port)
    server.start()
    try:
        yield box, port
    finally:
        server.stop()
