"""Images that crash, hang or exhaust the worker: parked after two tries, and nobody behind them waits."""

import queue
import sys
from datetime import UTC, datetime

import numpy as np
import pytest
from pydicom.uid import JPEGLSLossless
from sqlalchemy import select

from inference import findings
from scp.configuration import sections
from scp.working import supervisor
from scp.working.supervisor import Supervisor
from storage.database import schema
from storage.queue import arrivals
from storage.states import JobState
from tests.support.in_process import InProcessNode
from tests.support.mammograms import mammogram
from tests.support.poisoned_worker import CRASH, CURIOUS, GREED, HANG, begin

SIDE = 8000
"""Pixels; a constant image of so many squared is a few kilobytes when compressed."""
LIMITS = sections.Worker.model_construct(
    lease_seconds=60.0,
    job_timeout_seconds=60.0,
    job_memory_mb=100,
)


def poison(kind):
    image = mammogram("R", "CC", SeriesDescription=kind)
    if kind == GREED:
        image.Rows = image.Columns = SIDE
        image.PixelData = np.full((SIDE, SIDE), 7, np.uint16).tobytes()
        image.compress(JPEGLSLossless, generate_instance_uid=False)
        assert len(image.PixelData) < SIDE * SIDE / 100
    return image


@pytest.fixture
def node(tmp_path):
    opened = InProcessNode(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def job_ends(node, monkeypatch, request):
    """What a running supervisor announces: a job is done or parked."""
    limits = LIMITS.model_copy(update=request.param if hasattr(request, "param") else {})
    monkeypatch.setattr(supervisor, "_begin", begin)
    announced = queue.Queue()
    running = Supervisor(
        number=1,
        loaded=lambda: None,
        settings=node.settings.model_copy(update={"worker": limits}),
        database=node.database,
        finished=lambda: announced.put(1),
        now=lambda: datetime.now(UTC),
    )
    yield running, announced
    running.stop(10)


def job_of(node, image):
    with node.database.read() as tx:
        jobs = schema.jobs
        return tx.execute(select(jobs).where(jobs.c.sop_instance_uid == str(image.SOPInstanceUID))).one()


def finding_of(node, image):
    with node.database.read() as tx:
        pairs = arrivals.images(tx, str(image.StudyInstanceUID))
    uid = str(image.SOPInstanceUID)
    return next((finding for record, finding in pairs if record.sop_instance_uid == uid), None)


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("kind", "job_ends"),
    # the configuration allows 10 seconds at least
    [(CRASH, {}), (HANG, {"job_timeout_seconds": 5.0}), (GREED, {})],
    indirect=["job_ends"],
    ids=["crash", "hang", "greed"],
)
def test_poison_is_parked_after_two_tries_and_delays_the_others_by_one(node, job_ends, kind):
    running, announced = job_ends
    first = poison(kind)
    other_images = [mammogram("L", "CC", number=2), mammogram("R", "MLO", number=3)]
    node.receive(first, *other_images)
    running.start()
    while job_of(node, first).state is not JobState.PARKED:
        announced.get(timeout=100)
    parked = job_of(node, first)
    assert parked.attempts == 2
    finding = findings.load(finding_of(node, first).finding)
    assert finding.reason == "the analysis stopped unexpectedly and was not tried again"
    for other_image in other_images:
        assert job_of(node, other_image).state is JobState.DONE
        assert finding_of(node, other_image).analysed_at < parked.finished_at


@pytest.mark.parametrize("job_ends", [{"batch": 3}], indirect=True)
def test_of_a_batch_that_kills_its_worker_only_the_culprit_is_parked(node, job_ends):
    running, announced = job_ends
    images = [mammogram("L", "CC", number=2), poison(CRASH), mammogram("R", "MLO", number=3)]
    node.receive(*images)
    running.start()
    while any(job_of(node, image).state not in {JobState.PARKED, JobState.DONE} for image in images):
        announced.get(timeout=100)
    jobs = [job_of(node, image) for image in images]
    assert [job.state for job in jobs] == [JobState.DONE, JobState.PARKED, JobState.DONE]
    assert [(job.deaths, job.attempts) for job in jobs] == [
        (1, 1),
        (2, 1),
        (1, 1),
    ]  # the batch was no attempt


@pytest.mark.skipif(sys.platform != "linux", reason="what a crash leaves is asked of Linux")
def test_crash_of_the_worker_leaves_no_core_file(node, job_ends):
    running, announced = job_ends
    image = poison(CURIOUS)
    node.receive(image)
    running.start()
    while job_of(node, image).state is not JobState.DONE:
        announced.get(timeout=100)
    (notice,) = node.archive.data_dir.rglob("*.told")
    assert notice.read_text() == "(0, 0) 0"
