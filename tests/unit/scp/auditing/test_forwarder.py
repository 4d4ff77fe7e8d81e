"""Messages reach their receiver by TCP, UDP or a file; what is not taken waits, in order."""

import socket
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from scp import retry_policy
from scp.auditing import forwarder, syslog
from scp.auditing.syslog import Datagrams, Lines, Stream
from scp.auditing.trail import Trail
from scp.configuration.audit import Audit
from scp.configuration.sections import Node
from scp.configuration.settings import Settings
from scp.process import locks
from scp.retry_policy import Backoff
from storage import audit_spool
from storage.audit_spool import AuditSpool
from tests.support import audit_messages
from tests.support.listening import Listening
from tests.support.peers import free_port

MOMENT = timedelta(milliseconds=20)


class Receiver(Listening):
    """Keeps the messages of each connection."""

    def __init__(self, port=0):
        self.messages = []
        self.came = threading.Semaphore(0)
        self._connections = []
        super().__init__(self._read, port)

    def _read(self, connection):
        self._connections.append(connection)
        with connection, connection.makefile("rb") as stream:
            while length := b"".join(iter(lambda: stream.read(1).strip(), b"")):
                self.messages.append(stream.read(int(length)))
                self.came.release()

    def hang_up(self):
        self._connections[-1].shutdown(socket.SHUT_RDWR)


@pytest.fixture
def receiver():
    new_receiver = Receiver()
    yield new_receiver
    new_receiver.close()


def settings_of(folder, to):
    return Settings(node=Node(data_dir=folder), audit=Audit(to=to))


def test_the_envelope_is_that_of_the_standard():
    entry = syslog.envelope(b"<x/>", at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), host="näme x", process=7)
    assert entry == b"<85>1 2026-01-02T03:04:05.000Z nmex SecondRead 7 DICOM+RFC3881 - \xef\xbb\xbf<x/>"


def test_a_stream_counts_octets_and_stays_open(receiver):
    stream = Stream("127.0.0.1", receiver.port, None)
    stream.send([b"one", b"tw\xc3\xb6"])
    stream.send([b"three"])
    for _ in range(3):
        assert receiver.came.acquire(timeout=10)
    assert receiver.messages == [b"one", b"tw\xc3\xb6", b"three"]
    assert len(receiver._connections) == 1
    stream.close()


def test_a_stream_whose_receiver_has_hung_up_fails_before_it_sends(receiver):
    stream = Stream("127.0.0.1", receiver.port, None)
    stream.send([b"one"])
    assert receiver.came.acquire(timeout=10)
    receiver.hang_up()
    with pytest.raises(ConnectionError):
        _send_until_refused(stream)
    stream.send([b"two"])
    assert receiver.came.acquire(timeout=10)
    assert receiver.messages == [b"one", b"two"]
    stream.close()


def test_datagrams_hold_a_message_each():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(10)
        Datagrams("127.0.0.1", listening.getsockname()[1]).send([b"one", b"two"])
        assert [listening.recv(100), listening.recv(100)] == [b"one", b"two"]


def test_a_file_is_added_to_and_closed_to_others(tmp_path):
    lines = Lines(tmp_path / "audit.log")
    lines.send([b"one"])
    lines.send([b"two"])
    assert (tmp_path / "audit.log").read_bytes() == b"one\ntwo\n"
    assert (tmp_path / "audit.log").stat().st_mode & 0o077 == 0


def test_what_was_told_while_nobody_listened_comes_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(retry_policy, "AUDIT", Backoff(first=MOMENT, longest=MOMENT))
    port = free_port()
    with capture_logs() as lines:
        trail, end = forwarder.begin(settings_of(tmp_path, f"tcp://127.0.0.1:{port}"))
        for number in range(3):
            trail.deleted(f"1.2.{number}", ["P"])
        _wait_for(lines)
        back = Receiver(port)
        for _ in range(3):
            assert back.came.acquire(timeout=10)
        end(10)
    back.close()
    assert [audit_messages.read(message).studies for message in back.messages] == [
        ("1.2.0",),
        ("1.2.1",),
        ("1.2.2",),
    ]
    assert audit_spool.standing(tmp_path).waiting == 0
    assert [line["log_level"] for line in lines] == ["error", "warning"]


def test_the_last_message_is_sent_before_the_end(tmp_path):
    trail, end = forwarder.begin(settings_of(tmp_path, f"file:{tmp_path / 'audit.log'}"))
    trail.application(started=False)
    end(10)
    (line,) = (tmp_path / "audit.log").read_bytes().splitlines()
    assert audit_messages.read(line).kind == "Application Stop"


def test_who_lost_the_duty_sends_the_round_under_way_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(forwarder, "AT_ONCE", 1)
    settings = settings_of(tmp_path, f"file:{tmp_path / 'audit.log'}")
    trail = Trail(settings=settings)
    for number in range(3):
        trail.deleted(f"1.2.{number}", ["P"])
    terms = iter([True])
    end = forwarder.forward(settings, trail, may_send=lambda: next(terms, False))
    end(10)
    assert len((tmp_path / "audit.log").read_bytes().splitlines()) == 1
    assert audit_spool.standing(tmp_path).waiting == 2


def test_of_those_that_share_a_data_directory_one_sends(tmp_path):
    settings = settings_of(tmp_path, f"file:{tmp_path / 'audit.log'}")
    trail = Trail(settings=settings)
    before = locks.Turn(tmp_path, locks.AUDIT_LOCK)
    assert before.held()
    trail.deleted("1.2.1", ["P"])
    forwarder.forward_own(settings, trail)(10)
    assert audit_spool.standing(tmp_path).waiting == 1
    before.give_up()
    forwarder.forward_own(settings, trail)(10)
    assert audit_spool.standing(tmp_path).waiting == 0
    assert len((tmp_path / "audit.log").read_bytes().splitlines()) == 1


def test_message_that_another_process_has_sent_meanwhile_is_no_failure(tmp_path, monkeypatch):
    settings = settings_of(tmp_path, f"file:{tmp_path / 'audit.log'}")
    trail = Trail(settings=settings)
    trail.deleted("1.2.1", ["P"])
    oldest = AuditSpool.oldest
    monkeypatch.setattr(
        AuditSpool,
        "oldest",
        lambda spool, most: [tmp_path / "gone", *files] if (files := oldest(spool, most)) else [],
    )
    with capture_logs() as lines:
        forwarder.forward(settings, trail)(10)
    assert len((tmp_path / "audit.log").read_bytes().splitlines()) == 1
    assert lines == []


def test_no_trail_is_no_thread_and_no_folder(tmp_path):
    trail, end = forwarder.begin(Settings(node=Node(data_dir=tmp_path)))
    trail.application(started=True)
    end(1)
    assert list(tmp_path.iterdir()) == []


def _send_until_refused(stream):
    """Send nothing, again and again: the end of the connection may still be on its way."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        stream.send([])


def _wait_for(lines):
    deadline = time.monotonic() + 10
    while not lines and time.monotonic() < deadline:
        time.sleep(0.01)
    assert lines
