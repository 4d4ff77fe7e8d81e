"""What the bare library still needs: a release that does without fails a test, which says what can go."""

import errno
import fcntl
import importlib.util
import io
import queue
import resource
import select
import socket
import struct
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, _config, dimse_messages, dimse_primitives, dul, evt, timer, transport
from pynetdicom import association as association_module
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import build_context

from scp.network import contexts
from scp.network.pynetdicom_fixes import connections
from tests.support import two_pieces
from tests.support.mammograms import mammogram
from tests.support.passed_gate import closed_behind
from tests.support.scu import associate

HOUR = 3600
DELAYED_ACKNOWLEDGEMENT = 0.04
"""Linux's, in seconds, at the least."""
HIGH = 1500
"""More than FD_SETSIZE."""


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


def test_library_looks_all_the_time_whether_there_is_anything_to_do(tmp_path, monkeypatch):
    pauses = []

    def sleep(seconds):
        pauses.append(threading.current_thread())
        time.sleep(seconds)

    for module in (dul, association_module):
        monkeypatch.setattr(module, "time", SimpleNamespace(sleep=sleep))
    with bare_library(tmp_path, monkeypatch) as (port, opened):
        association = associate(port, [mammogram_context()])
        (own,) = opened

        def look_often():
            before = len(pauses)
            time.sleep(0.5)
            return all(pauses[before:].count(thread) > 50 for thread in (own, own.dul))

        # on a busy machine they may come to it in one half second and not in another
        assert any(look_often() for _ in range(20)), "the module waiting can go"
        association.release()


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
        connections.poll_connections()
        assert transport.select.select([connection], [], [], 0)[0] == [connection]


def test_library_runs_its_timers_by_the_wall_clock(monkeypatch):
    library = timer.Timer(HOUR / 2)
    library.start()
    monkeypatch.setattr(timer, "time", SimpleNamespace(time=lambda: time.time() + HOUR))
    assert library.expired, "MonotonicTimer can go"


def test_library_answers_no_store_without_instance_uid():
    """Its class as it is shipped: in this process another test may have mended it."""
    shipped = importlib.util.spec_from_file_location("shipped", dimse_primitives.__file__)
    module = importlib.util.module_from_spec(shipped)
    shipped.loader.exec_module(module)
    request = module.C_STORE()
    request.MessageID, request.AffectedSOPClassUID, request.Priority = 1, mammogram().SOPClassUID, 2
    request.DataSet = io.BytesIO(b"some")
    assert not request.is_valid_request, "REQUEST_KEYWORDS can stay as they are"


def test_library_reads_as_many_bytes_as_a_peer_claims():
    sizes = []

    def receive(size):
        sizes.append(size)
        if size > 6:
            raise OSError(errno.ECONNRESET, "Connection reset by peer")
        return b"\4\0\xff\xff\xff\xff"

    provider = SimpleNamespace(socket=SimpleNamespace(recv=receive), event_queue=queue.Queue())
    DULServiceProvider._read_pdu_data(provider)
    assert sizes == [6, 0xFFFFFFFF], "UnitReader can go"


def test_library_gives_a_thread_to_a_caller_who_says_nothing(tmp_path, monkeypatch):
    started = threading.Event()
    handler = (evt.EVT_CONN_OPEN, lambda _: started.set())
    with (
        bare_library(tmp_path, monkeypatch, handler) as (port, _),
        socket.create_connection(("127.0.0.1", port)),
    ):
        assert started.wait(30), "association_requests can go"


def test_library_waits_for_ever_for_a_peer_that_takes_nothing(tmp_path, monkeypatch):
    with bare_library(tmp_path, monkeypatch) as (port, _):
        association = associate(port, [build_context(contexts.VERIFICATION)])
        assert association.dul.socket.socket.gettimeout() is None, "limit_silence can go"
        association.release()


def test_library_lets_a_thread_pass_that_it_notes_as_resting(tmp_path, monkeypatch):
    with bare_library(tmp_path, monkeypatch) as (port, _):
        entity = AE(ae_title="PACS")
        entity.requested_contexts = [build_context(contexts.VERIFICATION)]
        with closed_behind(entity.associate("127.0.0.1", port)) as noted_as_resting:
            assert noted_as_resting, "checkpoint can go"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems acknowledge in their own way")
def test_library_lets_an_answer_in_two_pieces_wait():
    with two_pieces.verification_scp() as port:
        seconds = two_pieces.quickest_echo(associate(port, [build_context(contexts.VERIFICATION)]))
    assert seconds > DELAYED_ACKNOWLEDGEMENT / 2, "acknowledge can go"


def test_library_copies_each_fragment_before_it_is_written():
    pdu = P_DATA_TF()
    pdu.decode(struct.pack(">BBLLBB", 4, 0, 12, 8, 1, 0) + b"pixels")
    ((_, value),) = pdu.to_primitive().presentation_data_value_list
    assert type(value) is bytes, "UnitReader need write nothing itself"
