"""A row moves from the state in which it was read, or not at all."""

import pytest
from sqlalchemy import select

from storage.database import schema
from storage.errors import LeaseLost, Unknown
from storage.states import CommitmentEvent, DeliveryEvent, JobEvent, JobState
from storage.transitions import commitments, deliveries, jobs
from tests.unit.storage.making import arrival


@pytest.fixture
def row(hand):
    """A job that waits, as it was read."""
    hand.receive(arrival())
    with hand.database.read() as tx:
        return tx.execute(select(schema.jobs)).one()


def test_a_job_that_was_claimed_meanwhile_is_not_moved(hand, row):
    hand.claimed()
    with pytest.raises(LeaseLost), hand.database.write() as tx:
        jobs.take(tx, row, JobEvent.OVERTAKEN, now=hand.now)
    with hand.database.read() as tx:
        assert tx.execute(select(schema.jobs.c.state)).scalar_one() is JobState.RUNNING


def test_a_lease_ends_with_its_claim(hand, row):
    lease = hand.claimed().lease
    with hand.database.write() as tx:
        assert jobs.held(tx, lease).id == row.id
        jobs.take(tx, jobs.held(tx, lease), JobEvent.RENEWED, now=hand.now)
    with pytest.raises(LeaseLost), hand.database.write() as tx:
        jobs.held(tx, lease)


@pytest.mark.parametrize(
    ("take", "event"),
    [(deliveries.take, DeliveryEvent.ACCEPTED), (commitments.take, CommitmentEvent.CONFIRMED)],
)
def test_what_is_gone_is_not_moved(hand, take, event):
    with pytest.raises(Unknown, match=r"7 \(any more\)"), hand.database.write() as tx:
        take(tx, 7, event)
