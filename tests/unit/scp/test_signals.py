"""No signal is lost, whichever thread it reaches and whenever it comes."""

import signal
import threading

import pytest

from scp.roles import signals


def test_who_wants_the_end_has_the_last_word():
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        stop = signals.stop_on_signals()
        signal.raise_signal(signal.SIGUSR1)
        assert (stop.is_set(), stop.again) == (True, True)
        signal.raise_signal(signal.SIGTERM)
        assert (stop.is_set(), stop.again) == (True, False)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="handlers run in the main thread"
)
def test_signal_that_another_thread_takes_ends_the_wait(monkeypatch):
    monkeypatch.setattr(signals, "SIGNAL_SECONDS", 0.01)
    stop, end_of_test = threading.Event(), threading.Event()

    def take():
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        end_of_test.wait(10)

    before = signal.signal(signal.SIGUSR1, lambda *_: stop.set())
    thread = threading.Thread(target=take)
    try:
        threading.Timer(0.2, thread.start).start()
        signals.wait(stop)
    finally:
        end_of_test.set()
        signal.signal(signal.SIGUSR1, before)
