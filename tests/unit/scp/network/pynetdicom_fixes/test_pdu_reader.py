"""A message has one time for the whole of it, which follows what has come: by a clock that the test sets."""

import socket
import struct
from types import SimpleNamespace

import pytest
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.transport import AddressInformation

from scp.network import patience
from scp.network.pynetdicom_fixes import pdu_reader
from scp.network.pynetdicom_fixes.pdu_reader import DATA_CAME, HEADER, UnitReader

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
    association.peer.sendall(struct.pack(">BBL", pdu_reader.DATA, 0, len(value)) + value)
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
