"""Threads of an association that wait for each other: nothing waits longer than it did, and nobody looks."""

import threading
import time

import pytest
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context

from scp.network import contexts
from scp.network.pynetdicom_fixes import waiting
from scp.network.pynetdicom_fixes.waiting import wait_instead_of_looking
from tests.support.scu import associate

ECHO = [build_context(contexts.VERIFICATION)]


@pytest.fixture
def opened():
    return []


@pytest.fixture
def port(opened):
    def prepare(event):
        opened.append(event.assoc)
        wait_instead_of_looking(event)

    entity = AE(ae_title="SECONDREAD")
    entity.supported_contexts = ECHO
    handlers = [(evt.EVT_CONN_OPEN, prepare)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    yield server.server_address[1]
    server.shutdown()


@pytest.fixture
def long_moment(monkeypatch):
    """Let nobody look by himself: whoever is not woken waits for ever, as far as a test knows."""
    monkeypatch.setattr(waiting, "MOMENT", 60)


@pytest.mark.usefixtures("long_moment")
def test_each_thread_is_woken_by_what_concerns_it(port):
    association = associate(port, ECHO)
    assert all(association.send_c_echo().Status == 0 for _ in range(20))
    association.release()
    assert association.is_released


@pytest.mark.usefixtures("long_moment")
def test_peer_that_hangs_up_is_noticed_at_once(port, opened):
    association = associate(port, ECHO)
    association.abort()
    (own,) = opened
    own.join(10)
    assert not own.is_alive()
    own.dul.join(10)
    assert not own.dul.is_alive()


def test_abort_from_outside_goes_out_after_a_moment(port, opened):
    association = associate(port, ECHO)
    aborted = threading.Event()
    association.bind(evt.EVT_ABORTED, lambda _: aborted.set())
    (own,) = opened
    own.abort()
    assert aborted.wait(10)


def test_idle_association_takes_no_processor_time(port, opened):
    association = associate(port, ECHO)
    (own,) = opened
    pauses = [time.clock_gettime(time.pthread_getcpuclockid(thread.ident)) for thread in (own, own.dul)]
    time.sleep(1)  # what is measured
    after = [time.clock_gettime(time.pthread_getcpuclockid(thread.ident)) for thread in (own, own.dul)]
    assert sum(after) - sum(pauses) < 0.03
    association.release()
