"""Workers start when they are needed, up to the limit, and end together. No network is loaded."""

import time

import pytest

from scp.working.pool import WorkerPool
from tests.support import scripted_worker
from tests.support.mammograms import mammogram
from tests.support.scripted_worker import SECONDS


@pytest.fixture
def pooled(node, monkeypatch):
    """Make a pool of workers that follow a script, and a queue that tells of each job that is done."""
    pools = []

    def make(script, *, processes):
        arguments, finished = scripted_worker.supervisor_arguments(
            node, monkeypatch, script, processes=processes
        )
        pools.append(WorkerPool(**arguments))
        return pools[-1], finished

    yield make
    for pool in pools:
        pool.stop(0)


def running(pool):
    return [supervised.ready.is_set() for supervised in pool._supervisors]


def wait_until_busy(supervised):
    deadline = time.monotonic() + SECONDS
    while not supervised.busy:
        assert time.monotonic() < deadline, "the job has not begun"
        time.sleep(0.01)  # nothing tells of a job that begins


def test_without_work_one_worker_runs(pooled):
    pool, finished = pooled(scripted_worker.answers, processes=3)
    pool.start()
    assert pool._supervisors[0].ready.wait(SECONDS)
    pool.wake()
    finished.get(timeout=SECONDS)
    assert running(pool) == [True, False, False]
    assert pool.stop(SECONDS)
    assert pool.workers_died == 0


def test_work_that_arrives_while_all_are_busy_starts_one_more_up_to_the_limit(pooled):
    pool, _ = pooled(scripted_worker.works, processes=2)
    pool.start()
    for supervised in pool._supervisors:
        wait_until_busy(supervised)
        pool.wake()
    pool.wake()
    assert running(pool) == [True, True]
    assert not pool.stop(0)  # jobs were cut off


def test_backlog_of_before_the_start_is_shared(node, pooled):
    node.receive(mammogram("R", "CC"))
    pool, _ = pooled(scripted_worker.answers, processes=2)
    pool.start()
    assert pool._supervisors[1].ready.wait(SECONDS)


def test_pool_that_stops_starts_no_more(pooled):
    pool, _ = pooled(scripted_worker.works, processes=2)
    pool.start()
    wait_until_busy(pool._supervisors[0])
    pool.stop(0)
    pool.wake()
    assert not pool._supervisors[1].ready.is_set()
    assert pool._started == 1
