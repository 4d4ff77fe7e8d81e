"""Leases are extended from the claim on, by a thread that is there before the first job."""

import threading
import weakref
from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import select

from scp.process import memory
from scp.working.heartbeats import Heartbeats
from storage.database import schema
from storage.queue import jobs
from storage.records import JobKind
from storage.states import JobState
from tests.support.in_process import START
from tests.support.mammograms import mammogram

OFTEN = timedelta(seconds=0.04)
SECONDS = 20


class Clock:
    """Moves on by a second whenever it is read, and tells the second time that the heartbeats read it."""

    def __init__(self):
        self.reads = 0
        self.second = threading.Event()

    def __call__(self):
        self.reads += 1
        if self.reads > 1:  # the first beat is committed by now
            self.second.set()
        return START + timedelta(seconds=self.reads)


def claim(node, number=1):
    node.receive(*(mammogram("R", "CC", number=place) for place in range(1, number + 1)))
    with node.database.write() as tx:
        return [jobs.claim(tx, owner="me", now=node.now, lease=OFTEN) for _ in range(number)]


def leases(node):
    with node.database.read() as tx:
        return list(tx.execute(select(schema.jobs.c.lease_until).order_by(schema.jobs.c.id)).scalars())


def test_all_that_is_held_is_extended_and_what_is_lost_delays_nothing(node):
    lost, held = claim(node, 2)
    with node.database.write() as tx:
        jobs.again(tx, lost.lease, not_before=node.now, reason="a test", now=node.now)
    clock = Clock()
    with Heartbeats(database=node.database, lease=OFTEN, now=clock) as heartbeats:
        heartbeats.hold([lost.lease, held.lease])
        assert clock.second.wait(SECONDS)
    first, second = leases(node)
    assert first is None
    assert second > START + OFTEN


def test_thread_survives_a_lack_of_memory(node, monkeypatch):
    (job,) = claim(node)
    clock, beat = Clock(), jobs.heartbeat

    def fail_once(*arguments, **more):
        monkeypatch.setattr(jobs, "heartbeat", beat)
        raise MemoryError

    monkeypatch.setattr(jobs, "heartbeat", fail_once)
    with Heartbeats(database=node.database, lease=OFTEN, now=clock) as heartbeats:
        heartbeats.hold([job.lease])
        assert clock.second.wait(SECONDS)
    assert leases(node)[0] > START + OFTEN


@pytest.mark.parametrize("batch", [1, 2])
def test_after_a_lack_of_memory_what_the_job_took_is_returned(node, monkeypatch, batch):
    arrays, left = [], []

    def take(_):
        array = np.zeros(1_000_000)
        arrays.append(weakref.ref(array))
        raise MemoryError

    monkeypatch.setattr(memory, "give_back", lambda: left.append(arrays[-1]()))
    node.receive(*(mammogram("R", "CC", number=number) for number in range(1, batch + 1)))
    for name, value in {"batch": batch, "analyse_ahead": take, "do": {JobKind.ANALYSE: take}}.items():
        object.__setattr__(node.worker, name, value)
    node.worker.step()
    with node.database.read() as tx:
        assert jobs.counts(tx)[JobKind.ANALYSE][JobState.WAITING] == batch
    assert left == [None] * (batch if batch == 1 else batch + 1)
