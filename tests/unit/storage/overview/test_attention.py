from datetime import timedelta

from storage.files.folder import FolderArchive
from storage.overview import attention
from storage.queue import arrivals, deliveries, jobs
from storage.records import FindingRecord, JobKind
from storage.states import DeliveryState
from tests.support import owed
from tests.unit.storage.making import STUDY, arrival

SOON = owed.NOW + timedelta(minutes=1)


def test_nothing_needs_attention_at_first(database):
    with database.read() as tx:
        assert attention.parked_jobs(tx) == []
        assert attention.delivery_problems(tx) == []


def test_parked_job_is_named_with_its_reason(database):
    with database.write() as tx:
        arrivals.record(tx, owed._arrival("1.2.3"), destinations=["PACS"], now=owed.NOW)
        job = jobs.claim(tx, owner="test", now=owed.NOW, lease=timedelta(minutes=1))
        failure = FindingRecord(
            sop_instance_uid=job.sop_instance_uid,
            finding='{"status": "Failed"}',
            analysed_at=owed.NOW,
            heatmap=None,
        )
        jobs.never(tx, job.lease, reason="MemoryError", trace="the trace", finding=failure, now=SOON)
    with database.read() as tx:
        (parked,) = attention.parked_jobs(tx)
    assert (parked.kind, parked.study_uid, parked.sop_instance_uid) == (JobKind.ANALYSE, "1.2.3", "1.2.3.1")
    assert (parked.reason, parked.parked_at) == ("MemoryError", SOON)


def test_study_of_several_patients_is_named_and_one_of_two_archives_is_not(database):
    def send(number, patient, peer):
        with database.write() as tx:
            image = arrival(number, patient_digest=patient, source_ae=peer)
            arrivals.record(tx, image, destinations=[], now=owed.NOW)
            return attention.mixed_studies(tx)

    assert send(0, "A", "LOCAL") == []
    assert send(1, "B", "REGION") == [STUDY]
    assert send(0, "B", "REGION") == []


def test_troubles_are_counted_by_destination_state_and_reason(database, tmp_path):
    archive = FolderArchive(tmp_path / "data")
    owed.owe(database, archive, destinations=("PACS", "OTHER"))
    with database.write() as tx:
        due = deliveries.due(tx, now=owed.NOW)
        for delivery in due["PACS"]:
            deliveries.again(
                tx, delivery.id, not_before=SOON, status=None, reason="nobody there", now=owed.NOW
            )
        first, second = due["OTHER"]
        deliveries.never(tx, first.id, status=0xA900, reason="refused", now=owed.NOW)
        deliveries.sent(tx, second.id, status=0, now=owed.NOW)
    with database.read() as tx:
        parked, waiting = attention.delivery_problems(tx)
    assert (waiting.destination, waiting.state, waiting.reason) == (
        "PACS",
        DeliveryState.OWED,
        "nobody there",
    )
    assert (waiting.objects, waiting.next_try) == (2, SOON)
    assert (parked.destination, parked.state, parked.objects) == ("OTHER", DeliveryState.PARKED, 1)
