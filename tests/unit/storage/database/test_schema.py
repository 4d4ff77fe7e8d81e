"""What the database refuses by itself, whatever the code does."""

import pytest
from sqlalchemy import insert, select, update

from storage.database import schema
from storage.errors import Conflict
from storage.queue import jobs
from tests.unit.storage.making import LEASE, START, STUDY, Hand, arrival


@pytest.fixture
def received(database):
    """A node with one image; what tests write past the code is in no tally."""
    hand = Hand(database)
    hand.receive(arrival(0))
    return hand


def job(**changes):
    return {
        "kind": "ANALYSE",
        "sop_instance_uid": f"{STUDY}.0",
        "study_uid": STUDY,
        "state": "DONE",
        "claims": 0,
        "attempts": 0,
        "deaths": 0,
        "releases": 0,
        "not_before": START,
        "created_at": START,
        "finished_at": START,
    } | changes


@pytest.mark.parametrize(
    ("sentence", "columns"),
    [
        ("one_open_analysis|jobs.sop_instance_uid", job(state="WAITING", finished_at=None)),
        ("one_open_analysis|jobs.sop_instance_uid", job(state="PARKED")),
        ("image_or_study", job(sop_instance_uid=None)),
        ("image_or_study", job(kind="REPORT")),
        ("running_is_owned", job(state="RUNNING", lease_until=START, finished_at=None)),
        ("running_is_leased", job(state="RUNNING", owner="me", finished_at=None)),
        ("running_is_owned", job(owner="me")),
        ("finished_has_time", job(finished_at=None)),
        ("(?i)foreign key", job(sop_instance_uid="1.2.404")),
        ("(?i)foreign key", job(study_uid="1.2.404")),
    ],
)
def test_an_impossible_job_is_refused(received, sentence, columns):
    with pytest.raises(Conflict, match=sentence), received.database.write() as tx:
        tx.execute(insert(schema.jobs).values(**columns))


def test_a_second_open_report_of_a_study_is_refused(received):
    report = job(kind="REPORT", sop_instance_uid=None, state="WAITING", finished_at=None)
    with pytest.raises(Conflict, match=r"jobs\.study_uid|one_open_report"), received.database.write() as tx:
        tx.execute(insert(schema.jobs), [report, report])


def test_a_word_that_is_no_state_is_refused(received):
    with pytest.raises(Conflict, match="ck_jobs_state"), received.database.write() as tx:
        tx.exec_driver_sql("UPDATE jobs SET state = 'LOST'")


def test_a_second_current_report_is_refused(received):
    report = {"study_uid": STUDY, "made_at": START, "images": 1, "content_digest": "", "current": True}
    with (
        pytest.raises(Conflict, match=r"reports\.study_uid|one_current_report"),
        received.database.write() as tx,
    ):
        tx.execute(insert(schema.reports), [report | {"sequence": 1}, report | {"sequence": 2}])


def test_a_message_holds_no_values(received):
    with pytest.raises(Conflict) as caught, received.database.write() as tx:
        tx.execute(insert(schema.jobs).values(**job(study_uid="SECRET")))
    assert "SECRET" not in f"{caught.value} {caught.value.__cause__}"


def test_instants_come_back_aware_and_in_utc(received):
    with received.database.read() as tx:
        assert tx.execute(select(schema.studies.c.first_at)).scalar_one() == START
        assert tx.execute(select(schema.studies.c.first_at)).scalar_one().tzinfo is START.tzinfo


def test_a_naive_instant_is_refused(received):
    with pytest.raises(ValueError, match="naive"), received.database.write() as tx:
        jobs.claim(tx, owner="me", now=START.replace(tzinfo=None), lease=LEASE)


def test_numbers_of_rows_are_never_used_again(received):
    with received.database.write() as tx:
        last = tx.execute(insert(schema.jobs).values(**job())).inserted_primary_key[0]
        tx.execute(schema.jobs.delete().where(schema.jobs.c.id == last))
        assert tx.execute(insert(schema.jobs).values(**job())).inserted_primary_key[0] > last


def test_reading_cannot_write(received):
    with (
        pytest.raises(Exception, match="readonly"),
        received.database.read() as tx,
    ):
        tx.execute(update(schema.studies).values(changed=False))
