"""Threads of an association that wait for each other: nothing waits longer than it did, and nobody looks."""

import queue
import threading
import time
from functools import partial
from types import SimpleNamespace

import pytest
from pynetdicom import AE, dul, evt
from pynetdicom import association as association_module
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


def test_threads_of_an_idle_association_look_once_in_a_moment(port, opened, monkeypatch):
    association = associate(port, ECHO)
    looks = {thread: queue.Queue() for thread in (*opened, *(own.dul for own in opened))}

    def count(pause, seconds):
        if (own_looks := looks.get(threading.current_thread())) is not None:
            own_looks.put(time.monotonic())
        pause(seconds)

    for module in (dul, association_module):
        monkeypatch.setattr(module, "time", SimpleNamespace(sleep=partial(count, module.time.sleep)))
    for own_looks in looks.values():
        times = [own_looks.get(timeout=30) for _ in range(15)][5:]  # those of the beginning may be shorter
        assert times[-1] - times[0] > 9 * 0.8 * waiting.MOMENT
    association.release()
