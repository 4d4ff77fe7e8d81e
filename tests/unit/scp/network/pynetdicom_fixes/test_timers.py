import threading
import time
from types import SimpleNamespace

import pytest
from pynetdicom import evt, timer
from pynetdicom.presentation import build_context

from scp.configuration.sections import Node, Peer
from scp.configuration.settings import Settings
from scp.network import association as calling
from scp.network import contexts
from scp.network.pynetdicom_fixes.timers import MonotonicTimer
from scp.receiving.admission import Admission
from scp.receiving.listener import Listener
from tests.support.archive_scp import ArchiveSCP
from tests.support.scu import associate
from tests.support.uncounted import UNCOUNTED, UNCOUNTED_CALLS

HOUR = 3600


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
