"""A process that is asked to end while it is being started, which takes long where others compute."""

import threading
from datetime import timedelta
from multiprocessing.context import SpawnProcess

import pytest

from scp.process.child import Child
from tests.support import scripted_worker


@pytest.mark.parametrize(("seconds", "unheard"), [(0, False), (60, True)])
def test_process_that_is_being_started_when_its_time_is_over_is_ended(monkeypatch, seconds, unheard):
    beginning, go_on = threading.Event(), threading.Event()
    start = SpawnProcess.start

    def start_slowly(process):
        beginning.set()
        assert go_on.wait(60)
        start(process)

    monkeypatch.setattr(SpawnProcess, "start", start_slowly)
    child = Child("slow", stop_message=b"stop", wait=lambda _: timedelta(0), stable_seconds=60)
    child.start(
        lambda: child.run(scripted_worker.lingers, (None, 1, "me"), listen=lambda _, process: process.join())
    )
    assert beginning.wait(60)
    stopping = threading.Thread(target=child.stop, args=(seconds,), kwargs={"unheard": unheard})
    stopping.start()
    if not unheard:
        stopping.join(60)
    assert child.stopping.wait(60)
    go_on.set()
    child._thread.join(30)
    alive = child._process.is_alive()
    child._process.kill()
    stopping.join(60)
    assert not alive
