"""One worker is kept alive: woken, ended, started again, and its job never lost. No network is loaded."""

from contextlib import contextmanager

import pytest
from structlog.testing import capture_logs

from inference import findings
from scp.process import child
from scp.working.supervisor import Supervisor
from storage.database import schema
from storage.errors import DatabaseError
from storage.queue import arrivals
from storage.states import JobState
from tests.support import scripted_worker
from tests.support.mammograms import mammogram
from tests.support.scripted_worker import SECONDS


@pytest.fixture
def supervised(node, monkeypatch):
    """Make supervisors whose worker follows a script; each puts into its queue when a job is done."""
    supervisors = []

    def make(script, **more):
        arguments, finished = scripted_worker.supervisor_arguments(node, monkeypatch, script, **more)
        supervisors.append(Supervisor(number=1, loaded=lambda: None, **arguments))
        return supervisors[-1], finished

    yield make
    for supervisor_made in supervisors:
        supervisor_made.stop(0)


def job(node):
    with node.database.read() as tx:
        return tx.execute(schema.jobs.select()).one()


def test_wake_up_before_the_start_is_no_error(supervised):
    running, finished = supervised(scripted_worker.answers)
    running.wake()
    assert finished.empty()


def test_each_wake_up_that_was_answered_may_be_followed_by_another(supervised):
    running, finished = supervised(scripted_worker.answers)
    running.start()
    assert running.ready.wait(SECONDS)
    for _ in range(3):
        running.wake()
        finished.get(timeout=SECONDS)
    assert running.stop(SECONDS)
    assert not running.ready.is_set()


def test_wake_ups_that_are_not_answered_count_as_one(node, supervised):
    running, finished = supervised(scripted_worker.counts)
    running.start()
    assert running.ready.wait(SECONDS)
    for _ in range(3):
        running.wake()
    finished.get(timeout=SECONDS)
    assert running.stop(SECONDS)
    assert (node.settings.node.data_dir / "wakes").read_text() == "1"


def test_worker_that_loads_its_network_is_ended_at_once(supervised):
    running, finished = supervised(scripted_worker.loads)
    running.start()
    finished.get(timeout=SECONDS)
    assert not running.ready.is_set()
    assert running.stop(SECONDS)
    assert not running._child._process.is_alive()


def test_job_that_kills_two_workers_is_parked_with_a_finding(node, supervised):
    node.receive(image := mammogram("R", "CC"))
    running, finished = supervised(scripted_worker.dies)
    with capture_logs() as logs:
        running.start()
        finished.get(timeout=SECONDS)  # announced: the study can be reported now
        running.stop(SECONDS)
    parked = job(node)
    assert (parked.state, parked.deaths) == (JobState.PARKED, 2)
    died = [entry for entry in logs if entry["event"] == "process died, restarting"]
    assert died[0]["exit_code"] == scripted_worker.EXIT_CODE
    with node.database.read() as tx:
        ((_, record),) = arrivals.images(tx, str(image.StudyInstanceUID))
    assert findings.load(record.finding).reason == (
        "the analysis stopped unexpectedly and was not tried again"
    )


def test_job_that_exceeds_its_time_is_ended_with_its_worker(node, supervised):
    node.receive(mammogram("R", "CC"))
    running, finished = supervised(scripted_worker.hangs, job_timeout_seconds=0.1)
    with capture_logs() as logs:
        running.start()
        for _ in range(3):  # two claims and the parking
            finished.get(timeout=SECONDS)
        running.stop(0)
    assert job(node).state is JobState.PARKED
    exceeded = [entry["limit_seconds"] for entry in logs if entry["event"].startswith("job exceeded")]
    assert exceeded[:2] == [0.1, 0.1]


def test_job_that_is_cut_off_by_the_stop_goes_back_without_blame(node, supervised):
    node.receive(mammogram("R", "CC"))
    running, finished = supervised(scripted_worker.hangs)
    running.start()
    finished.get(timeout=SECONDS)
    assert job(node).state is JobState.RUNNING
    assert not running.stop(0.5)
    released = job(node)
    assert (released.state, released.deaths, released.owner) == (JobState.WAITING, 0, None)


def test_idle_worker_that_ends_late_has_no_job_to_be_cut_off(supervised):
    running, _ = supervised(scripted_worker.lingers)
    running.start()
    assert running.ready.wait(SECONDS)
    assert running.stop(0.1)


def test_worker_that_cannot_be_started_now_is_started_later(supervised, monkeypatch):
    pipes = child.multiprocessing.Pipe
    refused = [OSError(24, "Too many open files")]

    def pipe():
        if refused:
            raise refused.pop()
        return pipes()

    monkeypatch.setattr(child.multiprocessing, "Pipe", pipe)
    running, _ = supervised(scripted_worker.answers)
    with capture_logs() as logs:
        running.start()
        assert running.ready.wait(SECONDS)
        assert running.stop(SECONDS)
    (warning,) = [entry for entry in logs if entry["event"] == "process cannot be started now"]
    assert warning["reason"] == "Too many open files"


def test_leases_of_a_dead_worker_are_returned_when_the_database_works_again(node, supervised):
    class FailsOnce:
        """The database, locked for others at the first try."""

        locked = True

        @contextmanager
        def write(self):
            if self.locked:
                self.locked = False
                raise DatabaseError("the database is locked")
            with node.database.write() as tx:
                yield tx

    node.receive(mammogram("R", "CC"))
    running, finished = supervised(scripted_worker.dies, database=FailsOnce())
    with capture_logs() as logs:
        running.start()
        finished.get(timeout=SECONDS)
        running.stop(SECONDS)
    assert job(node).state is JobState.PARKED
    waited = [entry for entry in logs if entry["event"].startswith("leases of a dead worker")]
    assert [entry["reason"] for entry in waited] == ["the database is locked"]
