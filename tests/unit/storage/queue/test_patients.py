"""Whose an arriving image is: nothing that is kept ever changes its owner because of a stranger's copy."""

import pytest

from storage import history
from storage.database import schema
from storage.overview import studies
from storage.queue import arrivals, editions
from storage.records import ArrivalOutcome
from tests.unit.storage.making import START, STUDY, arrival, description

OTHER_STUDY = "1.2.77"


def of(patient, number=0, *, peer="PACS", name=None, **changes):
    """The arrival of image ``number`` of ``patient``, with ``name`` for what else results copy."""
    described = description(study_digest=name or f"study of {patient}")
    values = {"patient_digest": patient, "source_ae": peer, "description": described}
    return arrival(number, **(values | changes))


@pytest.fixture
def record(database):
    def receive(image):
        with database.write() as tx:
            return arrivals.record(tx, image, destinations=[image.source_ae], now=START).outcome

    return receive


@pytest.fixture
def all_rows(database):
    def look():
        with database.read() as tx:
            tables = [table for table in schema.metadata.sorted_tables if table.name != "events"]
            return {table.name: tx.execute(table.select()).all() for table in tables}

    return look


@pytest.mark.parametrize("peer", ["PACS", "REGION"])
def test_copy_under_another_study_and_patient_changes_nothing(record, all_rows, database, peer):
    record(of("A"))
    before = all_rows()
    for _ in range(3):
        copy = of("B", peer=peer, study_uid=OTHER_STUDY, file="instances/copy.dcm")
        assert record(copy) is ArrivalOutcome.OTHER_PATIENT
    assert all_rows() == before
    with database.read() as tx:
        events = [event for event in history.of(tx, STUDY) if event.event == "refused: of another patient"]
    assert [event.fields for event in events] == [{"sop_instance_uid": f"{STUDY}.0", "sender": peer}]


def test_second_archive_names_the_same_images_its_own_way_and_flips_nothing(record, all_rows, database):
    record(of("LOCAL-1", peer="LOCAL"))
    assert record(of("REGION-77", peer="REGION")) is ArrivalOutcome.HEADER_CHANGED
    before = all_rows()
    for _ in range(2):
        assert record(of("LOCAL-1", peer="LOCAL")) is ArrivalOutcome.DUPLICATE
        assert record(of("REGION-77", peer="REGION")) is ArrivalOutcome.DUPLICATE
    assert all_rows() == before
    with database.read() as tx:
        assert {
            edition.identity: (edition.senders, edition.destinations)
            for edition in editions.of_study(tx, STUDY)
        } == {
            "study of LOCAL-1": ({"LOCAL"}, ["LOCAL"]),
            "study of REGION-77": ({"REGION"}, ["REGION"]),
        }
        assert not editions.mixes_patients(tx, STUDY)


def test_same_patient_with_another_name_or_study_is_the_word_of_its_sender_alone(record, database):
    record(of("A", peer="LOCAL"))
    assert record(of("A", peer="REGION", name="other name")) is ArrivalOutcome.HEADER_CHANGED
    assert (
        record(of("A", peer="THIRD", name="other study", study_uid=OTHER_STUDY))
        is ArrivalOutcome.HEADER_CHANGED
    )
    with database.read() as tx:
        by_senders = {edition.senders: edition for edition in editions.of_study(tx, STUDY)}
        assert editions.of_study(tx, OTHER_STUDY) == []
        assert studies.kept_as(tx, OTHER_STUDY) == studies.kept_as(tx, STUDY) == STUDY
    assert {min(senders): edition.study_uid for senders, edition in by_senders.items()} == {
        "LOCAL": STUDY,
        "REGION": STUDY,
        "THIRD": OTHER_STUDY,
    }


def test_patients_of_two_peers_under_one_study_never_meet(record, database):
    record(of("A", 0, peer="LOCAL"))
    record(of("B", 1, peer="REGION"))
    with database.read() as tx:
        by_senders = {min(edition.senders): list(edition.images) for edition in editions.of_study(tx, STUDY)}
        assert editions.mixes_patients(tx, STUDY)
    assert by_senders == {"LOCAL": [f"{STUDY}.0"], "REGION": [f"{STUDY}.1"]}


def test_peer_that_sent_all_images_itself_gets_results_under_its_identity_alone(database):
    def send(image, *destinations):
        with database.write() as tx:
            arrivals.record(tx, image, destinations=destinations, now=START)

    def served():
        with database.read() as tx:
            return {edition.identity: edition.destinations for edition in editions.of_study(tx, STUDY)}

    send(of("A", 0, peer="MODALITY"), "PACS")
    send(of("A", 1, peer="MODALITY"), "PACS")
    send(of("A", 0, peer="PACS", name="right"), "PACS")
    assert served() == {"study of A": ["PACS"], "right": ["PACS"]}
    send(of("A", 1, peer="PACS", name="right"), "PACS")
    assert served() == {"study of A": [], "right": ["PACS"]}


def test_second_patient_under_one_study_is_refused(record, all_rows):
    record(of("A", 0))
    before = all_rows()
    assert record(of("B", 1)) is ArrivalOutcome.OTHER_PATIENT
    assert all_rows() == before
    assert record(of("A", 1)) is ArrivalOutcome.NEW


def test_image_cannot_be_moved_into_the_study_of_another_patient(record):
    record(of("A", 0))
    record(of("B", 0, sop_instance_uid="1.2.77.1", study_uid=OTHER_STUDY))
    assert record(of("A", 0, study_uid=OTHER_STUDY)) is ArrivalOutcome.OTHER_PATIENT


def test_merge_by_a_peer_that_sent_the_study_is_taken(record):
    record(of("A", 0))
    record(of("A", 1))
    assert record(of("B", 0)) is ArrivalOutcome.HEADER_CHANGED
    assert record(of("B", 1)) is ArrivalOutcome.HEADER_CHANGED
    assert record(of("B", 2)) is ArrivalOutcome.NEW


def test_coerced_study_of_the_same_patient_moves_the_image_of_its_only_sender(record, database):
    record(of("A", 0))
    assert record(of("A", 0, study_uid=OTHER_STUDY)) is ArrivalOutcome.HEADER_CHANGED
    with database.read() as tx:
        assert arrivals.find(tx, f"{STUDY}.0").study_uid == OTHER_STUDY


def test_image_of_which_no_patient_was_written_down_takes_that_of_its_next_header(record):
    record(of(None, 0))
    assert record(of("A", 0)) is ArrivalOutcome.HEADER_CHANGED
    assert record(of("B", 0, study_uid=OTHER_STUDY)) is ArrivalOutcome.OTHER_PATIENT
