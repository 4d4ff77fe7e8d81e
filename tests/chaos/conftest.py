"""What a chaos test has started ends with it: a thread that lives on would harm the tests after it."""

import os
import threading
import time

import pytest

from tests.support.kills import worker_of

PATIENCE = 60.0
"""Seconds in which connections that were cut off, and their threads, come to their end."""


@pytest.fixture(autouse=True)
def _nothing_runs_on():
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + PATIENCE
    started = set(threading.enumerate()) - before
    for thread in started:
        thread.join(max(0.0, deadline - time.monotonic()))
    assert [item.name for item in started if item.is_alive()] == []
    assert worker_of(os.getpid()) is None
