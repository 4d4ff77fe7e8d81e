"""The clock of the machine is set while associations are under way: neither cut nor kept for an hour."""

import threading
import time
from types import SimpleNamespace

import pytest
from pynetdicom import evt, timer
from pynetdicom.presentation import build_context

from scp.configuration.settings import Node, Peer, Settings
from scp.network import association as calling
from scp.network import contexts
from scp.network.steady import SteadyTimer
from scp.receiving.admission import Door
from scp.receiving.listener import Listener
from tests.support.archive_scp import ArchiveSCP
from tests.support.scu import associate

HOUR = 3600


@pytest.fixture
def clock(monkeypatch):
    """The wall clock as pynetdicom's timers see it; ``ahead`` is what it was set by."""
    seen = SimpleNamespace(ahead=0)
    monkeypatch.setattr(timer, "time", SimpleNamespace(time=lambda: time.time() + seen.ahead))
    return seen


@pytest.fixture
def listen(tmp_path):
    """Start a listener that lets associations be idle for so many seconds; return its port and its door."""
    servers = []

    def start(idle_seconds):
        settings = Settings(
            node=Node(host="127.0.0.1", port=0, data_dir=tmp_path, network_timeout_seconds=idle_seconds),
            peers=(Peer(ae_title="PACS", results_to=()),),
        )
        door = Door(settings)
        receiver = SimpleNamespace(archive=SimpleNamespace(incoming=tmp_path))
        listener = Listener(settings=settings, receiver=receiver, door=door, left=lambda: None)
        servers.append(listener.start())
        return servers[-1].server_address[1], door

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


def test_association_that_we_have_accepted_survives_a_clock_set_ahead(clock, listen):
    port, door = listen(60)
    association = call(port)
    (accepted,) = door._inside
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
    steady = SteadyTimer(None)
    steady.start()
    assert (steady.expired, steady.remaining) == (False, 1)
    steady.timeout = 0
    assert steady.expired
    steady.timeout = HOUR
    steady.stop()
    first = steady.remaining
    assert steady.remaining == first > HOUR - 60
    assert SteadyTimer(5).remaining == 5
