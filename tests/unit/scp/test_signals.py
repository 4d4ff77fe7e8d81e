"""No signal is lost, whichever thread it reaches and whenever it comes."""

import signal
import socket
import threading
from unittest.mock import Mock

import pytest

from scp.configuration.console import Console
from scp.configuration.sections import Node
from scp.configuration.settings import Settings
from scp.errors import OK
from scp.process import parent
from scp.roles import running, signals


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


@pytest.mark.usefixtures("loose_umask")
def test_console_with_the_role_tells_when_it_is_ready_and_ends_where_the_end_came_before(
    tmp_path, monkeypatch
):
    stop = signals.End()
    stop.set()
    settings = Settings(node=Node(data_dir=tmp_path), console=Console(port=0))
    presence = Mock(spec=["start", "stop", "ready"])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        assert running._console(settings, presence, stop=stop, path=None) == OK
        manager.settimeout(5)
        assert [manager.recv(100).decode() for _ in range(2)] == [parent.READY, parent.STOPPING]
    assert presence.ready()
    presence.stop.assert_called_once_with()
