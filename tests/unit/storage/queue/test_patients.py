"""Whose an arriving image is: nothing that is kept ever changes its owner because of a stranger's copy."""

import pytest

from storage import history
from storage.database import schema
from storage.queue import arrivals
from storage.records import Kept
from tests.unit.storage.making import START, STUDY, arrival

OTHER_STUDY = "1.2.77"


def of(patient, number=0, *, peer="PACS", uid=None, **changes):
    """The arrival of image ``number`` of ``patient``; its header says whose it is."""
    image = arrival(number, patient_digest=patient, header_digest=f"header of {patient}", source_ae=peer)
    return type(image)(
        **{name: getattr(image, name) for name in type(image).__dataclass_fields__}
        | ({"sop_instance_uid": uid} if uid else {})
        | changes
    )


@pytest.fixture
def record(database):
    def receive(image):
        with database.write() as tx:
            return arrivals.record(tx, image, destinations=[image.source_ae], now=START).kept

    return receive


@pytest.fixture
def everything(database):
    def look():
        with database.read() as tx:
            tables = [table for table in schema.metadata.sorted_tables if table.name != "events"]
            return {table.name: tx.execute(table.select()).all() for table in tables}

    return look


@pytest.mark.parametrize("peer", ["PACS", "REGION"])
def test_copy_under_another_study_and_patient_changes_nothing(record, everything, database, peer):
    record(of("A"))
    before = everything()
    for _ in range(3):
        copy = of("B", peer=peer, study_uid=OTHER_STUDY, file="instances/copy.dcm")
        assert record(copy) is Kept.OTHER_PATIENT
    assert everything() == before
    with database.read() as tx:
        events = [event for event in history.of(tx, STUDY) if event.event == "refused: of another patient"]
    assert [event.fields for event in events] == [{"sop_instance_uid": f"{STUDY}.0", "sender": peer}]


def test_another_archive_cannot_give_the_images_its_own_patient(record, everything):
    record(of("LOCAL-1", peer="LOCAL"))
    before = everything()
    assert record(of("REGION-77", peer="REGION")) is Kept.OTHER_PATIENT
    assert record(of("LOCAL-1", peer="LOCAL")) is Kept.DUPLICATE
    assert everything() == before


def test_second_patient_under_one_study_is_refused(record, everything):
    record(of("A", 0))
    before = everything()
    assert record(of("B", 1)) is Kept.OTHER_PATIENT
    assert everything() == before
    assert record(of("A", 1)) is Kept.NEW


def test_image_cannot_be_moved_into_the_study_of_another_patient(record):
    record(of("A", 0))
    record(of("B", 0, uid="1.2.77.1", study_uid=OTHER_STUDY))
    assert record(of("A", 0, study_uid=OTHER_STUDY)) is Kept.OTHER_PATIENT


def test_merge_by_a_peer_that_sent_the_study_is_taken(record):
    record(of("A", 0))
    record(of("A", 1))
    assert record(of("B", 0)) is Kept.HEADER_CHANGED
    assert record(of("B", 1)) is Kept.HEADER_CHANGED
    assert record(of("B", 2)) is Kept.NEW


def test_coerced_study_of_the_same_patient_is_taken(record):
    record(of("A", 0))
    assert record(of("A", 0, peer="REGION", study_uid=OTHER_STUDY)) is Kept.HEADER_CHANGED


def test_image_of_which_no_patient_was_written_down_takes_that_of_its_next_header(record):
    record(of(None, 0))
    assert record(of("A", 0)) is Kept.HEADER_CHANGED
    assert record(of("B", 0, study_uid=OTHER_STUDY)) is Kept.OTHER_PATIENT
