"""Each task of housekeeping does one thing, says so, and wakes the worker only when there is work."""

import threading
from dataclasses import replace
from datetime import timedelta
from unittest.mock import Mock

import pytest
from structlog.testing import capture_logs

from scp import housekeeping, schedule, ticks
from scp.auditing.trail import Trail
from scp.configuration.audit import Audit
from scp.configuration.sections import Peer
from scp.roles.signals import End
from scp.schedule import ClockWatch
from storage.database.sqlite.backend import File
from storage.errors import DatabaseError, PlaceTaken
from storage.queue import commitments, deliveries, jobs
from storage.records import JobKind
from storage.states import CommitmentState, JobState
from tests.support import audit_messages
from tests.support.in_process import InProcessNode
from tests.support.mammograms import mammogram

QUIET = timedelta(seconds=181)
LEASE = timedelta(minutes=1)


@pytest.fixture
def node(tmp_path):
    opened = InProcessNode(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def wakes():
    return []


@pytest.fixture
def tasks(node, wakes):
    return replace(node.tasks, wake_worker=lambda: wakes.append(1))


def of_kind(node, kind):
    with node.database.read() as tx:
        return {state: number for state, number in jobs.counts(tx)[kind].items() if number}


def commitment_states(node):
    with node.database.read() as tx:
        return {state: number for state, number in commitments.counts(tx)["PACS"].items() if number}


def claim(node):
    with node.database.write() as tx:
        return jobs.claim(tx, owner="gone", now=node.now, lease=LEASE)


def test_study_becomes_complete_once_and_wakes_the_worker(node, tasks, wakes):
    node.receive(mammogram("R", "CC"))
    assert tasks.complete_studies() == 0
    node.now += QUIET
    assert tasks.complete_studies() == 1
    assert tasks.complete_studies() == 0
    assert wakes == [1]
    assert of_kind(node, JobKind.REPORT) == {JobState.WAITING: 1}


def test_four_views_of_a_sender_with_an_open_association_are_not_complete(node, tasks):
    node.receive(*[mammogram(side, view) for side in "RL" for view in ("CC", "MLO")])
    node.busy = {"PACS"}
    assert tasks.complete_studies() == 0
    node.busy = set()
    assert tasks.complete_studies() == 1


def test_job_of_a_vanished_worker_is_given_back_once_and_then_parked(node, tasks, wakes):
    node.receive(mammogram("R", "CC"))
    claim(node)
    node.now += LEASE / 2
    tasks.return_expired_leases()
    assert of_kind(node, JobKind.ANALYSE) == {JobState.RUNNING: 1}
    node.now += LEASE
    tasks.return_expired_leases()
    assert of_kind(node, JobKind.ANALYSE) == {JobState.WAITING: 1}
    assert wakes == []
    claim(node)
    node.now += 2 * LEASE
    tasks.return_expired_leases()
    assert of_kind(node, JobKind.ANALYSE) == {JobState.PARKED: 1}
    assert wakes == [1]  # the study can be reported now


def test_leases_are_left_alone_just_after_the_clock_was_set(node, tasks):
    time = {"wall": 0.0, "monotonic": 0.0}
    clock = ClockWatch(wall=lambda: time["wall"], monotonic=lambda: time["monotonic"])
    doubting = replace(tasks, clock=clock)
    node.receive(mammogram("R", "CC"))
    claim(node)
    node.now += 2 * LEASE
    time["wall"] += 120
    clock.look()
    doubting.return_expired_leases()
    assert of_kind(node, JobKind.ANALYSE) == {JobState.RUNNING: 1}
    time["wall"] += 61
    time["monotonic"] += 61
    doubting.return_expired_leases()
    assert of_kind(node, JobKind.ANALYSE) == {JobState.WAITING: 1}


def test_times_are_repaired_only_where_the_clock_was_set_back(node, tasks, wakes):
    node.receive(mammogram("R", "CC"))
    tasks.repair_times()
    assert wakes == []
    node.now -= timedelta(days=1)
    with capture_logs() as logs:
        tasks.repair_times()
    assert wakes == [1]
    assert "clock was set back" in logs[0]["event"]
    assert claim(node).kind is JobKind.ANALYSE


def test_old_studies_are_removed_a_few_at_a_time_and_young_ones_kept(node, tasks):
    old = [mammogram("R", "CC", study=str(number)) for number in range(1, 8)]
    node.receive(*old)
    node.work(later=QUIET)
    node.deliver()
    node.now += timedelta(days=node.settings.retention.days)
    node.receive(young := mammogram("R", "CC", study="9"))
    node.work(later=QUIET)
    node.deliver()
    with capture_logs() as logs:
        tasks.remove_old_studies()
    assert node.known_studies() == {str(young.StudyInstanceUID)}
    assert [entry["studies"] for entry in logs] == [housekeeping.STUDIES_AT_A_TIME, 2]


def test_removal_of_old_studies_stops_between_two_batches_where_the_process_ends(node, tasks, monkeypatch):
    monkeypatch.setattr(housekeeping, "STUDIES_AT_A_TIME", 1)
    node.receive(mammogram("R", "CC", study="1"), mammogram("R", "CC", study="2"))
    node.work(later=QUIET)
    node.deliver()
    node.now += timedelta(days=node.settings.retention.days + 1)
    replace(tasks, ending=lambda: len(node.known_studies()) < 2).remove_old_studies()
    assert len(node.known_studies()) == 1


def test_recovery_gives_jobs_back_and_removes_half_written_files(node, tasks):
    node.receive(mammogram("R", "CC"))
    claim(node)
    half = node.archive.incoming / "half-written.dcm"
    half.write_bytes(b"half")
    tasks.recover()
    assert of_kind(node, JobKind.ANALYSE) == {JobState.WAITING: 1}
    assert not half.exists()


def test_job_under_way_at_too_many_crashes_is_parked(node, tasks):
    node.receive(mammogram("R", "CC"))
    with capture_logs() as logs:
        for _ in range(jobs.RELEASES):
            claim(node)
            tasks.recover()
    assert of_kind(node, JobKind.ANALYSE) == {JobState.PARKED: 1}
    assert [entry["log_level"] for entry in logs] == ["error"]


def test_commitments_of_peers_that_are_not_asked_any_more_are_waived(tmp_path):
    peers = (Peer(ae_title="PACS", host="127.0.0.1", port=104, commitment=True),)
    node = InProcessNode(tmp_path, peers=peers)
    node.receive(mammogram("R", "CC"))
    node.work(later=QUIET)
    with node.database.write() as tx:
        sent = deliveries.due(tx, now=node.now)["PACS"]
        for delivery in sent:
            deliveries.sent(tx, delivery.id, status=0, now=node.now)
            commitments.want(
                tx,
                delivery,
                sop_class_uid=delivery.result.sop_class_uid,
                sop_instance_uid=delivery.result.sop_instance_uid,
                now=node.now,
            )
    node.tasks.waive_commitments()
    assert commitment_states(node) == {CommitmentState.DUE: len(sent)}
    changed = node.settings.model_copy(update={"peers": ()})
    with capture_logs() as logs:
        replace(node.tasks, settings=changed).waive_commitments()
    assert commitment_states(node) == {CommitmentState.WAIVED: len(sent)}
    assert [entry["objects"] for entry in logs] == [len(sent)]
    node.close()


@pytest.mark.parametrize(("fault", "ends"), [(PlaceTaken("another"), True), (DatabaseError("away"), False)])
def test_node_ends_where_another_works_with_the_database_not_where_the_server_is_away(
    tasks, monkeypatch, fault, ends
):
    monkeypatch.setattr(File, "check_place", Mock(side_effect=fault))
    stop = End()
    replace(tasks, displaced=stop.fail).watch_database()
    assert (stop.is_set(), stop.fault) == (ends, fault if ends else None)


def test_failures_of_storage_and_disk_are_left_to_the_next_tick():
    for failure in (DatabaseError("locked"), OSError(28, "No space left on device")):

        def task(failure=failure):
            raise failure

        with capture_logs() as logs:
            schedule.as_tick(task)()
        assert [(entry["log_level"], entry["task"]) for entry in logs] == [("warning", "task")]


def test_fault_of_the_program_is_not_hidden():
    def task():
        raise KeyError("fault")

    with pytest.raises(KeyError):
        schedule.as_tick(task)()


def test_the_end_waits_for_the_tick_under_way(node):
    started, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def clean_associations():
        started.set()
        assert go_on.wait(60)
        ended.set()

    node_ticks = ticks.of_node(node.tasks, clean_associations=clean_associations, take_images_to_come=list)
    end = schedule.start(node_ticks, node.tasks.clock)
    assert started.wait(60)
    stopping = threading.Thread(target=end)
    stopping.start()
    assert not ended.is_set()
    go_on.set()
    stopping.join(60)
    assert not stopping.is_alive()
    assert ended.is_set()


def test_a_study_that_is_removed_is_told_to_the_audit_trail(node, tasks):
    image = mammogram("R", "CC")
    node.receive(image)
    node.work(later=QUIET)
    node.deliver()
    trail = Trail(settings=node.settings.model_copy(update={"audit": Audit(to="tcp://127.0.0.1:1")}))
    node.now += timedelta(days=15)
    replace(tasks, trail=trail).remove_old_studies()
    (message,) = audit_messages.waiting(trail)
    assert message.event == "DICOM Study Deleted"
    assert (message.studies, message.patients) == ((image.StudyInstanceUID,), (image.PatientID,))
