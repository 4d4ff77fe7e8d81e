"""No signal is lost, whichever thread it reaches and whenever it comes."""

import signal
import threading

import pytest

from scp import node


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="handlers run in the main thread"
)
def test_signal_that_another_thread_takes_ends_the_wait(monkeypatch):
    monkeypatch.setattr(node, "SIGNAL_SECONDS", 0.01)
    stop, end_of_test = threading.Event(), threading.Event()

    def take():
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        end_of_test.wait(10)

    before = signal.signal(signal.SIGUSR1, lambda *_: stop.set())
    thread = threading.Thread(target=take)
    try:
        threading.Timer(0.2, thread.start).start()
        node._wait(stop)
    finally:
        end_of_test.set()
        signal.signal(signal.SIGUSR1, before)
