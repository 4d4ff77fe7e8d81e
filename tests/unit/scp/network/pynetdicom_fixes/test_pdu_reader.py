"""A message has one time for the whole of it, which follows what has come: by a clock that the test sets."""

import errno
import socket
import struct
from pathlib import Path
from types import SimpleNamespace

import pytest
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.pdu_primitives import A_ABORT
from pynetdicom.transport import AddressInformation

from scp.network import patience
from scp.network.pynetdicom_fixes import pdu_reader, received_file
from scp.network.pynetdicom_fixes.pdu_reader import DATA_CAME, UnitReader
from scp.network.pynetdicom_fixes.received_file import ReceivedFile
from scp.network.pynetdicom_fixes.units import DATA, HEADER

SILENCE = 120.0
ASSOCIATED = "Sta6"
"""State of the upper layer in which data come (PS3.8 9.2.2)."""


@pytest.fixture
def clock(monkeypatch):
    counter = SimpleNamespace(now=0.0)
    monkeypatch.setattr(pdu_reader, "time", SimpleNamespace(monotonic=lambda: counter.now))
    return counter


@pytest.fixture
def association():
    """One that is open, without its threads: each unit is read and acted upon when the test says so."""
    accepted = Association(AE(ae_title="SECONDREAD"), "acceptor")
    accepted.requestor.address_info = AddressInformation("127.0.0.1", 104)
    near_end, away = socket.socketpair()
    with near_end, away:
        accepted.dul.socket = SimpleNamespace(socket=near_end)
        accepted.dul.state_machine.current_state = ASSOCIATED
        reader = UnitReader(accepted, longest_data=65_536, seconds=SILENCE)
        yield SimpleNamespace(library=accepted, reader=reader, peer=away)


def take(association, content):
    """Let the peer send a fragment of a command (PS3.8 9.3.5); tell whether the association goes on."""
    value = struct.pack(">LBB", len(content) + 2, 1, 0x01) + content
    association.peer.sendall(struct.pack(">BBL", DATA, 0, len(value)) + value)
    association.reader.read()
    assert association.library.dul.event_queue.get_nowait() == DATA_CAME
    association.reader.act(DATA_CAME)
    return not association.reader.broken


@pytest.mark.parametrize("size", [1, 16_000])
def test_message_of_many_units_has_one_time_that_follows_its_size(association, clock, size):
    received = 3 * (size + 2 * HEADER)
    assert take(association, bytes(size))
    clock.now = SILENCE - 1
    assert take(association, bytes(size))
    clock.now = patience.seconds(SILENCE, received) - 0.001
    assert take(association, bytes(size))
    clock.now = patience.seconds(SILENCE, received + size + 2 * HEADER) + 0.001
    assert not take(association, bytes(size))
    assert association.library.dul.event_queue.get_nowait() == "Evt19"


def fragment(content, control=0x00):
    """A unit with one fragment of a data set."""
    value = struct.pack(">LBB", len(content) + 2, 1, control) + content
    return struct.pack(">BBL", DATA, 0, len(value)) + value


@pytest.fixture
def data_set(association, tmp_path):
    """The file of a C-STORE that comes in."""
    library = association.library
    library.dul.socket.ready = True
    library.dimse.message = DIMSEMessage()
    library.dimse.message._data_set_file = file = ReceivedFile(tmp_path)
    yield Path(file.name)
    file.close()


def test_middle_of_a_data_set_is_written_at_once_and_its_end_is_the_library_s(association, data_set):
    association.peer.sendall(fragment(b"first ") + fragment(b"second ") + fragment(b"last", control=0x02))
    association.reader.read()
    assert data_set.read_bytes() == b"first second "
    assert association.library.dul.event_queue.get_nowait() == DATA_CAME
    assert association.library.dul.event_queue.empty()
    ((_, value),) = association.library.dul._recv_pdu.get_nowait().to_primitive().presentation_data_value_list
    assert value == b"\2last"


@pytest.mark.parametrize(
    "unit",
    [
        fragment(b"command", control=0x01),
        fragment(b"one")[:2] + struct.pack(">L", 18) + 2 * fragment(b"one")[6:],
    ],
    ids=["a command", "two fragments"],
)
def test_what_is_no_fragment_of_a_data_set_alone_is_the_library_s(association, data_set, unit):
    association.peer.sendall(unit)
    association.reader.read()
    assert data_set.read_bytes() == b""
    assert association.library.dul.event_queue.get_nowait() == DATA_CAME


def test_each_unit_in_the_middle_of_a_data_set_is_a_sign_of_life(association, data_set):
    restarts = []
    association.library.dul._idle_timer = SimpleNamespace(
        restart=lambda: restarts.append(data_set.read_bytes())
    )
    association.peer.sendall(fragment(b"first ") + fragment(b"second ") + fragment(b"last", control=0x02))
    association.reader.read()
    assert restarts == [b"first ", b"first second "], "the library restarts it after the last"


def test_larger_unit_after_a_failed_write_is_swallowed_too(association, data_set, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(received_file, "_write_all", fail)
    file = association.library.dimse.message._data_set_file
    association.peer.sendall(fragment(bytes(100)) + fragment(bytes(9_000)) + fragment(b"", control=0x02))
    association.reader.read()
    assert file.failure.errno == errno.ENOSPC
    assert association.library.dul.event_queue.get_nowait() == DATA_CAME


def test_abort_of_ours_is_not_kept_waiting_by_a_data_set_that_comes(association, data_set):
    association.library.dul.to_provider_queue.put(A_ABORT())
    association.peer.sendall(fragment(b"first") + fragment(b"second"))
    association.reader.read()
    assert association.library.dul.event_queue.get_nowait() == DATA_CAME
    assert association.library.dul._recv_pdu.qsize() == 1
    assert data_set.read_bytes() == b""


def test_connection_that_ends_within_a_data_set_ends_the_association(association, data_set):
    association.library.dul.socket.close = lambda: association.library.dul.event_queue.put("Evt17")
    association.peer.sendall(fragment(b"first") + fragment(b"second")[:9])
    association.peer.shutdown(socket.SHUT_WR)
    association.reader.read()
    assert association.library.dul.event_queue.get_nowait() == "Evt17"
    assert association.reader.broken
