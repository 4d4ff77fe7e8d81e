"""`check` tries the servers of alerts, sign-in and audit trail: small real ones on loopback."""

import json
import socket
import ssl
import threading
from contextlib import contextmanager

import pytest
from joserfc.jwk import ECKey

from scp.configuration.alerts import Alerts
from scp.configuration.audit import Audit
from scp.configuration.openid import OpenID
from scp.configuration.settings import Settings
from scp.operating.checking import services
from scp.operating.checking.outcomes import Outcome
from tests.support.authority import Authority
from tests.support.mail_server import mail_server
from tests.support.peers import free_port
from tests.support.web_server import scripted_server

TO = "pacs-team@hospital.example"
KEYS = {"keys": [ECKey.generate_key("P-256", {"kid": "1"}).as_dict(private=False)]}


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.sign("mail")


@pytest.fixture(scope="module")
def mail(certificate):
    with mail_server(*certificate) as running:
        yield running


@pytest.fixture
def login(tmp_path):
    file = tmp_path / "mail.secret"
    file.write_text("node:correct horse battery")
    file.chmod(0o600)
    return str(file)


@pytest.fixture
def hook():
    with scripted_server() as script:
        yield script


def look(**sections):
    """Check the services of ``sections``; return the only outcome and its words."""
    ((check,),) = [list(call()) for call in services.calls(Settings(**sections))]
    return check.outcome, check.words


def of_mail(port, authority, login, **more):
    keys = {
        "mail_to": (TO,),
        "mail_host": "127.0.0.1",
        "mail_authorities": authority.pem,
        "mail_login": login,
    }
    return look(alerts=Alerts(mail_port=port, **(keys | more)))


def test_what_is_not_configured_is_not_called():
    assert list(services.calls(Settings())) == []


def test_a_mail_server_is_signed_in_to_and_nobody_gets_a_mail(mail, authority, login):
    box, port = mail
    outcome, words = of_mail(port, authority, login)
    assert (outcome, "takes mail for all" in words) == (Outcome.OK, True), words
    assert box.messages == []


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"mail_login": None}, "takes no mail from"),
        ({"mail_authorities": None}, "its certificate is refused"),
        ({"mail_to": (TO, "nobody@hospital.example")}, "no mail for nobody@hospital.example"),
        ({"mail_security": "tls"}, "wrong version number"),
    ],
    ids=["no login", "stranger", "recipient", "another security"],
)
def test_what_is_wrong_with_a_mail_server_is_a_sentence(mail, authority, login, more, reason):
    box, port = mail
    box.strangers.add("nobody@hospital.example")
    outcome, words = of_mail(port, authority, login, **more)
    assert (outcome, reason in words.lower()) == (Outcome.FAILED, True), words
    assert box.messages == []


def test_authorities_that_are_no_file_are_named(mail, login, tmp_path):
    _, port = mail
    missing = tmp_path / "gone.pem"
    alerts = Alerts(
        mail_to=(TO,), mail_host="127.0.0.1", mail_port=port, mail_login=login, mail_authorities=missing
    )
    outcome, words = look(alerts=alerts)
    assert (outcome, f"mail_authorities = {missing} is no file" in words) == (Outcome.FAILED, True), words


@pytest.mark.parametrize(
    ("status", "outcome", "reason"),
    [
        (200, Outcome.OK, "200 to HEAD"),
        (405, Outcome.OK, "405 to HEAD"),
        (403, Outcome.NOTE, "webhook_credentials"),
        (404, Outcome.NOTE, "`alert test` shows"),
        (503, Outcome.NOTE, "`alert test` shows"),
    ],
)
def test_a_webhook_is_asked_and_told_nothing(hook, status, outcome, reason):
    hook.answer = (status, {}, b"")
    answer, words = look(alerts=Alerts(webhook_url=hook.url))
    assert (answer, reason in words) == (outcome, True), words
    ((_, _, body),) = hook.requests
    assert body == b""


def test_a_webhook_that_is_not_there_fails():
    outcome, words = look(alerts=Alerts(webhook_url=f"http://127.0.0.1:{free_port()}/"))
    assert (outcome, "nothing answers there" in words) == (Outcome.FAILED, True), words


def of_provider(script, **metadata):
    """Look at a provider whose discovery document is right but for ``metadata``; None takes a key away."""
    root = script.url.removesuffix("/dicom-web")
    names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    document = {"issuer": root, **dict.fromkeys(names, f"{root}/any"), **metadata}
    documents = [json.dumps({name: value for name, value in document.items() if value is not None})]
    script.answer = lambda _: (200, {}, (documents.pop() if documents else json.dumps(KEYS)).encode())
    return of_issuer(root)


def of_issuer(issuer):
    section = OpenID(issuer=issuer, client_id="secondread", address="https://node.example", viewers=("*",))
    return look(openid=section)


def test_a_provider_is_asked_for_what_it_says_of_itself_and_for_its_keys(hook):
    outcome, words = of_provider(hook)
    assert (outcome, "with 1 keys" in words) == (Outcome.OK, True), words
    assert words.endswith("https://node.example/sign-in/openid/back")
    assert [path for path, _, _ in hook.requests] == ["/.well-known/openid-configuration", "/any"]


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"issuer": "https://login.example"}, "calls itself otherwise"),
        ({"token_endpoint": None}, "has no token_endpoint"),
        ({"authorization_endpoint": "http://login.example/"}, "no https address"),
    ],
)
def test_a_provider_that_says_something_else_fails(hook, metadata, reason):
    outcome, words = of_provider(hook, **metadata)
    assert (outcome, reason in words) == (Outcome.FAILED, True), words


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((404, {}, b""), "HTTP 404: is [openid] issuer right?"),
        ((200, {}, b"<html>"), "not with JSON"),
        ((200, {}, b"[]"), "no JSON object"),
    ],
)
def test_what_is_no_provider_fails(hook, answer, reason):
    hook.answer = answer
    outcome, words = of_issuer(hook.url)
    assert (outcome, reason in words) == (Outcome.FAILED, True), words


def test_a_provider_without_usable_keys_fails(hook, monkeypatch):
    monkeypatch.setitem(KEYS, "keys", [{"kty": "strange"}])
    outcome, words = of_provider(hook)
    assert (outcome, "keys cannot be read" in words) == (Outcome.FAILED, True), words


@contextmanager
def receiver(context=None):
    """Listen for one connection, with TLS where there is a ``context``; give the port and what was read."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        content = []

        def serve():
            connection, _ = listening.accept()
            with connection:
                try:
                    with context.wrap_socket(connection, server_side=True) if context else connection as way:
                        content.append(way.recv(100))
                except OSError as error:
                    content.append(error)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1], content
        thread.join(10)


def test_a_receiver_is_connected_to_and_sent_nothing():
    with receiver() as (port, content):
        outcome, words = look(audit=Audit(to=f"tcp://127.0.0.1:{port}"))
    assert (outcome, content) == (Outcome.OK, [b""]), words


@pytest.mark.parametrize("trusted", [True, False])
def test_a_receiver_with_tls_shows_whether_it_takes_our_certificate(authority, tmp_path, trusted):
    """In TLS 1.3 it refuses one after the handshake that has succeeded for us."""
    node = authority.tls("node")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.sign("receiver"))
    context.load_verify_locations(authority.pem if trusted else Authority(tmp_path).pem)
    context.verify_mode = ssl.CERT_REQUIRED
    with receiver(context) as (port, content):
        outcome, words = look(audit=Audit(to=f"tls://127.0.0.1:{port}"), tls=node)
    if trusted:
        assert (outcome, content) == (Outcome.OK, [b""]), words
    else:
        assert (outcome, "does not accept our certificate" in words) == (Outcome.FAILED, True), words


def test_a_receiver_that_is_not_there_fails_and_udp_cannot_tell():
    outcome, words = look(audit=Audit(to=f"tcp://127.0.0.1:{free_port()}"))
    assert (outcome, "Connection refused" in words) == (Outcome.FAILED, True), words
    outcome, words = look(audit=Audit(to="udp://127.0.0.1:514"))
    assert (outcome, "by UDP nobody answers" in words) == (Outcome.NOTE, True), words


def test_a_file_must_have_a_folder(tmp_path):
    assert look(audit=Audit(to=f"file:{tmp_path}/audit.log"))[0] is Outcome.OK
    outcome, words = look(audit=Audit(to=f"file:{tmp_path}/gone/audit.log"))
    assert (outcome, "no folder in which" in words) == (Outcome.FAILED, True), words
    assert not (tmp_path / "gone").exists()
