"""What is mended in pynetdicom, and that the bare library still needs it: one that does not fails a test."""

import errno
import fcntl
import resource
import select
import socket
import tempfile
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, _config, dimse_messages, evt, timer, transport
from pynetdicom.presentation import build_context

from scp.configuration.sections import Node, Peer
from scp.configuration.settings import Settings
from scp.network import association as calling
from scp.network import contexts, pynetdicom_fixes
from scp.network.pynetdicom_fixes import MonotonicTimer
from scp.network.received_file import ReceivedFile
from scp.receiving.admission import Admission
from scp.receiving.listener import Listener
from tests.support.archive_scp import ArchiveSCP
from tests.support.mammograms import mammogram
from tests.support.scu import associate
from tests.support.uncounted import UNCOUNTED, UNCOUNTED_CALLS

HOUR = 3600
HIGH = 1500
"""More than FD_SETSIZE."""


@pytest.fixture
def clock(monkeypatch):
    """The wall clock as pynetdicom's timers see it; ``ahead`` is what it was set by."""
    counter = SimpleNamespace(ahead=0)
    monkeypatch.setattr(timer, "time", SimpleNamespace(time=lambda: time.time() + counter.ahead))
    return counter


@pytest.fixture
def listen(tmp_path):
    """Start a listener that lets associations be idle for so many seconds; return port and admission."""
    servers = []

    def start(idle_seconds):
        settings = Settings(
            node=Node(host="127.0.0.1", port=0, data_dir=tmp_path, network_timeout_seconds=idle_seconds),
            peers=(Peer(ae_title="PACS", results_to=()),),
        )
        admission = Admission(settings)
        receiver = SimpleNamespace(archive=SimpleNamespace(incoming=tmp_path))
        listener = Listener(
            settings=settings,
            receiver=receiver,
            admission=admission,
            association_ended=lambda: None,
            refusals=UNCOUNTED,
            calls=UNCOUNTED_CALLS,
        )
        servers.append(listener.start())
        return servers[-1].server_address[1], admission

    yield start
    for server in servers:
        server.shutdown()


def call(port, *, closed=None):
    association = associate(port, [build_context(contexts.VERIFICATION)])
    assert association.is_established
    association.network_timeout = None  # the caller's own timers are not ours
    if closed is not None:
        association.bind(evt.EVT_CONN_CLOSE, lambda _: closed.set())
    return association


@contextmanager
def bare_library(tmp_path, monkeypatch, *handlers, temporary_file=None):
    """A Storage SCP of pynetdicom without any of our mends; gives its port and its associations."""
    monkeypatch.setattr(_config, "STORE_RECV_CHUNKED_DATASET", True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(dimse_messages, "NamedTemporaryFile", temporary_file or tempfile.NamedTemporaryFile)
    entity = AE(ae_title="SECONDREAD")
    entity.acse_timeout = 30
    entity.supported_contexts = contexts.accepted()
    opened = []
    server = entity.start_server(
        ("127.0.0.1", 0),
        block=False,
        evt_handlers=[(evt.EVT_CONN_OPEN, lambda event: opened.append(event.assoc)), *handlers],
    )
    try:
        yield server.server_address[1], opened
    finally:
        server.shutdown()


def mammogram_context():
    return build_context(mammogram().SOPClassUID, ExplicitVRLittleEndian)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_library_gives_no_answer_where_the_disk_fails(tmp_path, monkeypatch):
    def full(**_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with bare_library(tmp_path, monkeypatch, temporary_file=full) as (port, _):
        association = associate(port, [mammogram_context()])
        association.dimse_timeout = 2
        assert "Status" not in association.send_c_store(mammogram()), "ReceivedFile can go"


def test_library_leaves_the_file_of_an_unfinished_data_set(tmp_path, monkeypatch):
    closed = threading.Event()
    handler = (evt.EVT_CONN_CLOSE, lambda _: closed.set())
    with bare_library(tmp_path, monkeypatch, handler) as (port, opened):
        image = mammogram("R", "CC", rows=1024, columns=1024)
        association = associate(port, [mammogram_context()])

        def close_after_some(event):
            if len(event.pdu.encode()) > 10_000:
                association.dul.socket.close()

        association.bind(evt.EVT_PDU_SENT, close_after_some)
        association.send_c_store(image)
        assert closed.wait(30)
        opened[0].join(30)
        assert list(tmp_path.glob("*.dcm")), "remove_unfinished can go"
        opened[0].dimse.message._data_set_file.close()


def test_library_takes_a_connection_with_a_high_descriptor_for_closed(monkeypatch):
    monkeypatch.setattr(transport, "select", select)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most < HIGH + 10:
        pytest.skip("this machine opens no such descriptor")
    near_end, away = socket.socketpair()
    high = fcntl.fcntl(near_end.fileno(), fcntl.F_DUPFD, HIGH)
    with near_end, away, socket.socket(fileno=high) as connection:
        away.send(b"x")
        with pytest.raises(ValueError, match="out of range"):
            transport.select.select([connection], [], [], 0)  # else poll_connections can go
        pynetdicom_fixes.poll_connections()
        assert transport.select.select([connection], [], [], 0)[0] == [connection]


def test_library_runs_its_timers_by_the_wall_clock(clock):
    library = timer.Timer(HOUR / 2)
    library.start()
    clock.ahead = HOUR
    assert library.expired, "MonotonicTimer can go"


def test_library_waits_for_ever_for_a_peer_that_takes_nothing(tmp_path, monkeypatch):
    with bare_library(tmp_path, monkeypatch) as (port, _):
        association = associate(port, [build_context(contexts.VERIFICATION)])
        assert association.dul.socket.socket.gettimeout() is None, "limit_silence can go"
        association.release()


def test_association_that_we_have_accepted_survives_a_clock_set_ahead(clock, listen):
    port, admission = listen(60)
    association = call(port)
    (accepted,) = admission._open
    clock.ahead = HOUR
    assert not accepted.dul.idle_timer_expired()
    assert association.send_c_echo().Status == 0x0000
    association.release()


def test_idle_association_ends_in_time_though_the_clock_is_set_back(clock, listen):
    closed = threading.Event()
    port, _ = listen(1)
    association = call(port, closed=closed)
    clock.ahead = -HOUR
    assert closed.wait(30), "it would stay for an hour"
    association.abort()


def test_association_that_we_have_opened_survives_a_clock_set_ahead(clock):
    with ArchiveSCP("PACS") as pacs:
        pacs._server.ae.network_timeout = None  # the other side's timers are not ours
        settings = Settings(peers=(Peer(ae_title="PACS", host="127.0.0.1", port=pacs.port),))
        proposed = [build_context(contexts.VERIFICATION)]
        association = calling.associate(settings, settings.peers[0], proposed)
        clock.ahead = HOUR
        assert not association.dul.idle_timer_expired()
        assert association.send_c_echo().Status == 0x0000
        association.release()


def test_timer_stops_where_it_was_stopped_and_never_ends_without_a_timeout():
    monotonic = MonotonicTimer(None)
    monotonic.start()
    assert (monotonic.expired, monotonic.remaining) == (False, 1)
    monotonic.timeout = 0
    assert monotonic.expired
    monotonic.timeout = HOUR
    monotonic.stop()
    first = monotonic.remaining
    assert monotonic.remaining == first > HOUR - 60
    assert MonotonicTimer(5).remaining == 5


@contextmanager
def files_no_longer_than(size):
    """Files of this process may not grow beyond ``size`` bytes; Python ignores the signal, writes fail."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_file_holds_what_was_written(tmp_path):
    received = ReceivedFile(tmp_path, suffix=".dcm", mode="wb", delete=False)
    assert received.write(b"first ") == 6
    received.file.flush()
    received.write(b"second")
    received.close()
    (file,) = tmp_path.iterdir()
    assert (str(file), file.read_bytes()) == (received.name, b"first second")
    assert received.failure is None


@pytest.mark.parametrize("piece", [1000, 100_000])
def test_write_that_fails_in_the_middle_is_kept_and_the_rest_swallowed(tmp_path, piece):
    received = ReceivedFile(tmp_path)
    received.write(b"some")
    received.flush()
    with files_no_longer_than(1000):
        assert received.write(bytes(piece)) == piece
        received.flush()
    assert received.failure is not None
    assert received.failure.errno == errno.EFBIG
    assert received.write(b"more") == 4
    received.flush()
    received.close()
    assert list(tmp_path.iterdir()) == []


def test_file_that_cannot_be_opened_swallows_everything(tmp_path):
    received = ReceivedFile(tmp_path / "missing")
    assert received.write(b"data") == 4
    received.flush()
    received.close()
    assert received.failure is not None
    assert received.failure.errno == errno.ENOENT
