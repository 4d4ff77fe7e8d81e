from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from scp.process import locks
from scp.process.locks import LockError


def test_node_waits_for_what_a_killed_one_has_left_receiving(tmp_path):
    with ThreadPoolExecutor(1) as threads, ExitStack() as left:
        left.enter_context(locks.receiving_lock(tmp_path))
        start = threads.submit(_hold_and_release, tmp_path)
        with pytest.raises(TimeoutError):
            start.result(0.2)
        left.close()
        assert start.result(10)


def test_node_does_not_wait_for_ever_for_what_still_receives(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "RECEIVERS_SECONDS", 0.1)
    with locks.receiving_lock(tmp_path), pytest.raises(LockError, match="still receives"):
        _hold_and_release(tmp_path)


def _hold_and_release(data_dir):
    with locks.node_lock(data_dir):
        return True
