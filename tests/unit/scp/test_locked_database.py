"""Another program holds the database while the node runs: nothing is promised, and all goes on afterwards."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from scp import schedule
from storage.database.engine import Database
from storage.errors import DatabaseError
from storage.queue import commitments, deliveries
from storage.records import JobKind
from tests.support.in_process import InProcessNode
from tests.support.mammograms import mammogram, write


@pytest.fixture
def node(tmp_path):
    opened = InProcessNode(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def impatient(node):
    """The same database, opened by who does not wait."""
    opened = Database.open(node.settings.node.data_dir, patience=0.0)
    yield opened
    opened.close()


def incoming(node):
    return write(mammogram("R", "CC"), node.archive.incoming / "received.dcm")


def test_store_is_not_acknowledged_and_accepted_when_it_comes_again(node, impatient):
    receiver = replace(node.receiver, database=impatient)
    with node.database.write(), pytest.raises(DatabaseError, match="locked: another process"):
        receiver.keep(incoming(node), calling_ae="PACS")
    assert node.known_studies() == set()
    receiver.keep(incoming(node), calling_ae="PACS")
    assert len(node.known_studies()) == 1


def test_worker_claims_nothing_and_goes_on(node, impatient):
    node.receive(mammogram("R", "CC"))
    worker = replace(node.worker, database=impatient)
    with node.database.write(), pytest.raises(DatabaseError, match="locked"):
        worker.step()
    assert worker.step() is JobKind.ANALYSE


@pytest.mark.parametrize(
    "name", ["complete_studies", "repair_times", "return_expired_leases", "remove_old_studies"]
)
def test_tick_is_left_to_the_next_one(node, impatient, name):
    task = getattr(replace(node.tasks, database=impatient), name)
    with node.database.write():
        with pytest.raises(DatabaseError, match="locked"):
            task()
        with capture_logs() as locked:
            schedule.as_tick(task)()
    with capture_logs() as free:
        schedule.as_tick(task)()
    assert [(entry["log_level"], entry["task"]) for entry in locked] == [("warning", name)]
    assert "locked" in locked[0]["reason"]
    assert free == []


def test_what_is_due_can_be_read_meanwhile(node, impatient):
    with node.database.write(), impatient.read() as tx:
        assert deliveries.due_destinations(tx, now=node.now) == []
        assert commitments.due_destinations(tx, now=node.now) == []
