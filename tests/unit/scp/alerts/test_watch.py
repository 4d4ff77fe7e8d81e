"""Real conditions of a real database, told to a real mail server and a real web server on loopback."""

import json
import socket
import time
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from scp.alerts import watch
from scp.alerts.channels import ChannelError, send_mail
from scp.alerts.watch import AlertWatch
from scp.configuration.alerts import Alerts
from scp.configuration.console import Console
from scp.configuration.sections import Node, Peer
from scp.configuration.settings import Settings
from scp.errors import CommandError
from storage import refusals
from storage.database.engine import Database
from storage.files.folder import FolderArchive
from storage.queue import deliveries
from storage.refused import Refused
from tests.support.authority import Authority
from tests.support.mail_server import mail_server
from tests.support.owed import NOW, owe
from tests.support.web_server import scripted_server

TO = "pacs-team@hospital.example"
LATER = NOW + timedelta(hours=2)


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.sign("mail", hosts=("127.0.0.1",))


@pytest.fixture
def database(tmp_path):
    opened = Database.open(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def settings(tmp_path):
    peers = tuple(Peer(ae_title=name, host="127.0.0.1", port=104) for name in ("PACS", "VNA"))
    return Settings(node=Node(data_dir=tmp_path / "data", disk_reserve_mb=0), peers=peers)


@pytest.fixture
def hook():
    with scripted_server() as script:
        yield script


def notices_of(settings, **keys):
    return settings.model_copy(update={"alerts": Alerts(**keys)})


def login(tmp_path, words="node:correct horse battery", name="mail.secret"):
    path = tmp_path / name
    path.write_text(f"{words}\n")
    path.chmod(0o600)
    return path


def fail(database, uids, *, parked):
    with database.write() as tx:
        for delivery in [item for due in deliveries.due(tx, now=NOW).values() for item in due]:
            reason = "refused with status 0xA700: Doe^Jane has no account"
            if delivery.destination in parked:
                deliveries.never(tx, delivery.id, status=0x0122, reason=reason, now=NOW)
            else:
                deliveries.again(tx, delivery.id, not_before=LATER, reason=reason, status=None, now=NOW)


def bodies(hook):
    return [json.loads(body) for _, _, body in hook.requests]


def kinds(entries):
    return [(entry["kind"], entry["subject"]) for entry in entries]


def test_what_needs_a_person_goes_out_once_survives_a_restart_and_ends(tmp_path, settings, database, hook):
    settings = notices_of(settings, webhook_url=hook.url)
    fail(
        database,
        owe(database, FolderArchive(tmp_path / "data"), destinations=("PACS", "VNA")),
        parked={"VNA"},
    )
    clock = [NOW + timedelta(minutes=59)]
    alerts = AlertWatch(settings=settings, database=database, now=lambda: clock[0])
    alerts.look()
    assert kinds(bodies(hook)[0]["raised"]) == [("deliveries", "VNA")]
    clock[0] = LATER
    alerts.look()
    alerts.look()
    (entry,) = bodies(hook)[1]["raised"]
    assert entry["words"] == "PACS has taken nothing since 2026-03-01 12:00 UTC, and is owed 2 objects."
    again = AlertWatch(settings=settings, database=database, now=lambda: clock[0])
    again.look()
    assert len(hook.requests) == 2
    with database.write() as tx:
        deliveries.retry(tx, now=LATER, destination="VNA")
    again.look()
    clock[0] += timedelta(minutes=11)
    again.look()
    assert kinds(bodies(hook)[2]["over"]) == [("deliveries", "VNA")]
    sent = b"".join(body for _, _, body in hook.requests)
    assert b"Doe" not in sent
    assert b"1.2." not in sent


def test_a_database_that_is_gone_is_told_all_the_same(tmp_path, settings, database, hook):
    settings = notices_of(settings, webhook_url=hook.url)
    clock = [NOW]
    alerts = AlertWatch(settings=settings, database=database, now=lambda: clock[0])
    alerts.look()
    file = database.backend.file
    file.rename(tmp_path / "elsewhere")
    alerts.look()
    alerts.look()
    assert kinds(bodies(hook)[0]["raised"]) == [("database", "")]
    (tmp_path / "elsewhere").rename(file)
    for minutes in (1, 12):
        clock[0] = NOW + timedelta(minutes=minutes)
        alerts.look()
    assert kinds(bodies(hook)[1]["over"]) == [("database", "")]
    assert len(hook.requests) == 2


def test_disk_certificates_and_rejected_callers_are_told(settings, database, hook, authority):
    old, key = authority.sign("old", days=10)
    node = settings.node.model_copy(update={"disk_reserve_mb": 100_000_000})
    settings = notices_of(settings, webhook_url=hook.url).model_copy(
        update={"node": node, "console": Console(certificate=old, key=key)}
    )
    at = datetime.now(UTC)
    alerts = AlertWatch(settings=settings, database=database, now=lambda: at)
    alerts.look()
    assert kinds(bodies(hook)[0]["raised"]) == [("disk", ""), ("certificate", "[console]")]
    strangers = {Refused.CALLING_TITLE: 5, Refused.TLS: 7, Refused.SILENT: 50}
    counts = {(refusals.NO_PEER, refusals.NO_CLASS, reason): number for reason, number in strangers.items()}
    with database.write() as tx:
        refusals.add(tx, counts | {("PACS", refusals.NO_CLASS, Refused.ADDRESS): 6}, now=at)
    alerts.look()
    (raised,) = bodies(hook)[1]["raised"]
    assert kinds([raised]) == [("refusals", "")]
    assert raised["words"] == (
        "12 calls of callers that are no peers were refused within an hour, most often: TLS failed."
    )


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_mail_goes_encrypted_with_a_login(tmp_path, settings, database, authority, certificate, security):
    with mail_server(*certificate, security=security) as (box, port):
        settings = notices_of(
            settings,
            mail_to=(TO,),
            mail_host="127.0.0.1",
            mail_port=port,
            mail_security=security,
            mail_login=str(login(tmp_path)),
            mail_authorities=authority.pem,
        )
        fail(database, owe(database, FolderArchive(tmp_path / "data")), parked={"PACS"})
        AlertWatch(settings=settings, database=database, now=lambda: NOW).look()
    assert box.logins == [True]
    (message,) = box.messages
    assert message["Subject"] == "SecondRead SECONDREAD: 1 new"
    assert message["To"] == TO
    assert "PACS has refused 2 objects, which are not tried again." in message.get_content()


def test_a_mail_server_that_fails_is_asked_again_later_and_holds_up_no_webhook(
    tmp_path, settings, database, hook, authority, certificate
):
    fail(database, owe(database, FolderArchive(tmp_path / "data")), parked={"PACS"})
    with mail_server(*certificate) as (box, port), capture_logs() as log:
        box.refusal = "451 try again later"
        alerts = AlertWatch(
            settings=notices_of(
                settings,
                mail_to=(TO,),
                mail_host="127.0.0.1",
                mail_port=port,
                mail_login=str(login(tmp_path)),
                mail_authorities=authority.pem,
                webhook_url=hook.url,
            ),
            database=database,
            now=lambda: NOW,
        )
        alerts.look()
        alerts.look()
        (failure,) = [line for line in log if line["event"].startswith("alert not sent")]
        assert failure["reason"] == f"mail server 127.0.0.1, port {port}: it answers 451"
        assert len(hook.requests) == 1
        box.refusal = None
        alerts._not_before.clear()
        alerts.look()
        assert len(box.messages) == 1
        assert len(hook.requests) == 1


def test_every_failure_of_a_mail_server_is_a_sentence(tmp_path, settings, authority, certificate):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    keys = {"mail_to": (TO,), "mail_host": "127.0.0.1", "mail_authorities": authority.pem}
    secret = str(login(tmp_path, "node:wrong"))
    foreign = Authority(tmp_path / "other").pem
    with mail_server(*certificate) as (_, open_port):
        for changed, words in (
            ({"mail_port": port}, "Connection refused"),
            ({"mail_port": open_port, "mail_login": secret}, "does not take the login"),
            ({"mail_port": open_port, "mail_authorities": foreign}, "its certificate is refused"),
            ({"mail_port": open_port}, "it answers 530"),
            ({"mail_port": open_port, "mail_login": str(tmp_path / "none")}, "cannot be read"),
            ({"mail_port": open_port, "mail_login": str(login(tmp_path, "nöde:x", "other.secret"))}, "ASCII"),
        ):
            with pytest.raises(ChannelError, match=words):
                send_mail(notices_of(settings, **(keys | changed)), None, NOW)


def test_a_webhook_gets_its_token_and_follows_nobody(tmp_path, settings, hook, capsys):
    settings = notices_of(
        settings, webhook_url=hook.url, webhook_credentials=str(login(tmp_path, "Bearer abc"))
    )
    assert watch.send_test(settings) == 0
    assert capsys.readouterr().out == "webhook: sent\n"
    _, headers, body = hook.requests[0]
    assert headers["Authorization"] == "Bearer abc"
    assert json.loads(body)["text"].startswith("SecondRead SECONDREAD: test\n")
    hook.answer = (302, {"Location": "http://192.0.2.1/"}, b"")
    assert watch.send_test(settings) == 1
    assert "it answers 302" in capsys.readouterr().err
    with pytest.raises(CommandError, match="nobody is told"):
        watch.send_test(notices_of(settings))


def test_a_server_that_hangs_does_not_hold_up_the_end(settings, database):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        keys = {"mail_to": (TO,), "mail_host": "127.0.0.1", "mail_port": silent.getsockname()[1]}
        node = settings.node.model_copy(update={"disk_reserve_mb": 100_000_000})
        settings = notices_of(settings, **keys).model_copy(update={"node": node})
        alerts = AlertWatch(settings=settings, database=database, now=lambda: NOW)
        alerts.start()
        silent.accept()[0].detach()
        start = time.monotonic()
        alerts.stop(0.2)
        assert time.monotonic() - start < 5
