"""Images of one call of the network: each is a job of its own, whatever becomes of the others."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from scp.working import worker
from scp.working.heartbeats import Heartbeats
from storage.database import schema
from storage.queue import batches, jobs
from storage.records import JobKind
from storage.states import JobState
from tests.support.in_process import InProcessNode, ScriptedAnalyst
from tests.support.mammograms import mammogram

VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
LEASE = timedelta(minutes=1)


class BatchAnalyst(ScriptedAnalyst):
    """Remembers how many images it was given at once; an image of the view ``bad`` breaks it."""

    def __init__(self, bad=None):
        self.bad = bad
        self.sizes = []
        self.alone = 0

    def analyse_all(self, images, announce):
        self.sizes.append(len(images))
        return [self._analyse(path, image) for path, image in images]

    def analyse(self, path, image):
        self.alone += 1
        return self._analyse(path, image)

    def _analyse(self, path, image):
        if f"{image.laterality}{image.view}" == self.bad:
            raise ZeroDivisionError
        return super().analyse(path, image)


@pytest.fixture
def opened(tmp_path):
    nodes = []

    def open_(analyst, batch):
        nodes.append(InProcessNode(tmp_path, analyst=analyst, batch=batch))
        return nodes[-1]

    yield open_
    for node in nodes:
        node.close()


def received(node, views=VIEWS):
    node.receive(*(mammogram(*view, number=number) for number, view in enumerate(views, 1)))


def counts(node):
    with node.database.read() as tx:
        return {state: number for state, number in jobs.counts(tx)[JobKind.ANALYSE].items() if number}


def test_a_batch_is_analysed_at_once_and_each_image_has_its_finding(opened):
    analyst = BatchAnalyst()
    node = opened(analyst, 3)
    received(node)
    assert node.worker.step() is JobKind.ANALYSE
    assert counts(node) == {JobState.DONE: 3, JobState.WAITING: 1}
    assert node.worker.step() is JobKind.ANALYSE
    assert (analyst.sizes, analyst.alone) == ([3], 1)
    assert counts(node) == {JobState.DONE: 4}


def test_an_image_that_breaks_a_batch_spoils_no_other(opened):
    analyst = BatchAnalyst(bad="LCC")
    node = opened(analyst, 4)
    received(node)
    node.worker.step()
    assert counts(node) == {JobState.DONE: 3, JobState.PARKED: 1}
    assert (analyst.sizes, analyst.alone) == ([4], 4)


def test_a_job_that_was_taken_over_loses_its_own_result_alone(opened):
    class Overtaken(BatchAnalyst):
        def analyse_all(self, images, announce):
            with node.database.write() as tx:
                tx.execute(update(schema.jobs).where(schema.jobs.c.id == 2).values(lease_until=node.now))
                jobs.expire(tx, now=node.now, epitaph="{}")
            return super().analyse_all(images, announce)

    node = opened(Overtaken(), 4)
    received(node)
    node.worker.step()
    assert counts(node) == {JobState.DONE: 3, JobState.WAITING: 1}


def test_jobs_of_a_batch_whose_worker_died_are_tried_one_by_one(opened):
    node = opened(BatchAnalyst(), 4)
    received(node)
    with node.database.write() as tx:
        batch = batches.claim(tx, owner="dead", now=node.now, lease=LEASE, most=4)
        assert len({job.lease for job in batch}) == 4
        assert jobs.release_owner(tx, "dead", now=node.now, died=True, epitaph="{}") == []
        for _ in batch:
            (alone,) = batches.claim(tx, owner="next", now=node.now, lease=LEASE, most=4)
            assert (alone.deaths, alone.attempts) == (1, 1)  # the batch is no attempt of each


def test_an_image_that_ends_its_node_every_time_parks_no_other_of_its_batch(opened):
    node = opened(BatchAnalyst(), 4)
    received(node)

    def claimed():
        with node.database.write() as tx:
            return batches.claim(tx, owner="ended", now=node.now, lease=LEASE, most=4)

    def end():
        with node.database.write() as tx:
            return jobs.release_all(tx, now=node.now, epitaph=worker.INTERRUPTED_ANALYSIS)

    assert len(claimed()) == 4
    assert end() == []
    for _ in range(jobs.RELEASES - 2):
        (alone,) = claimed()
        assert end() == []
    (alone,) = claimed()
    assert [job.id for job in end()] == [alone.id]
    assert counts(node) == {JobState.PARKED: 1, JobState.WAITING: 3}


def test_a_report_comes_alone(opened):
    node = opened(BatchAnalyst(), 4)
    received(node)
    node.worker.step()
    node.now += timedelta(hours=1)
    node.tasks.complete_studies()
    node.receive(
        mammogram("R", "CC", number=9, study="another"), mammogram("L", "CC", number=8, study="another")
    )
    with node.database.write() as tx:
        (job,) = batches.claim(tx, owner="me", now=node.now, lease=LEASE, most=4)
    assert job.kind is JobKind.REPORT


def test_a_batch_that_is_told_to_stop_gives_back_what_is_not_done(opened):
    node = opened(BatchAnalyst(), 4)
    received(node)
    answers = iter((True, False))
    object.__setattr__(node.worker, "proceed", lambda: next(answers))
    assert node.worker.step() is JobKind.ANALYSE
    assert counts(node) == {JobState.DONE: 2, JobState.WAITING: 2}
    with node.database.write() as tx:
        job, _ = batches.claim(tx, owner="next", now=node.now, lease=LEASE, most=4)
    assert (job.deaths, job.releases, job.attempts) == (0, 0, 1)


def test_a_batch_waits_for_more_images_as_long_as_it_may(opened):
    analyst = BatchAnalyst()
    node = opened(analyst, 4)
    received(node, VIEWS[:1])
    waits = []

    def pause(seconds):
        waits.append(seconds)
        node.receive(*(mammogram(*view, number=number) for number, view in enumerate(VIEWS[1:], 2)))
        return True

    patient = worker.Worker(
        owner="patient",
        database=node.database,
        archive=node.archive,
        heartbeats=Heartbeats(database=node.database, lease=LEASE, now=node.clock),
        do=node.worker.do,
        now=node.clock,
        batch=4,
        batch_wait=timedelta(milliseconds=20),
        analyse_ahead=node.worker.analyse_ahead,
        pause=pause,
    )
    patient.step()
    assert waits == [0.02]
    assert analyst.sizes == [4]
