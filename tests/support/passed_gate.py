"""The moment in which an association's own thread has passed its gate, and no more happened."""

import threading
from contextlib import contextmanager

from tests.support.hostile import wait_for


@contextmanager
def closed_behind(association):
    """Close the gate of ``association`` behind its own thread; gives whether that is noted as resting."""
    gate = association._reactor_checkpoint
    wait, passed, let_go = gate.wait, threading.Event(), threading.Event()

    def wait_and_stay():
        wait()
        passed.set()
        let_go.wait(30)

    gate.wait = wait_and_stay
    assert passed.wait(30)
    gate.clear()
    try:
        yield association._is_paused
    finally:
        let_go.set()
        assert wait_for(lambda: association._is_paused), "the own thread never comes to rest"
        gate.set()
        association.release()
