"""The state tables, written a second time by hand, and their complement."""

import itertools

import pytest

from storage.errors import IllegalMove
from storage.states import (
    CommitmentEvent,
    CommitmentState,
    DeliveryEvent,
    DeliveryState,
    JobEvent,
    JobState,
    move_commitment,
    move_delivery,
    move_job,
)

JOB_STEPS = """
WAITING CLAIMED         RUNNING
WAITING RENEWED         WAITING
WAITING OVERTAKEN       DONE
RUNNING SUCCEEDED       DONE
RUNNING FAILED_FOR_NOW  WAITING
RUNNING FAILED_FOR_GOOD PARKED
RUNNING LEASE_LOST      WAITING
RUNNING RENEWED         WAITING
RUNNING OVERTAKEN       DONE
PARKED  RETRIED         WAITING
PARKED  RENEWED         WAITING
PARKED  OVERTAKEN       DONE
"""

DELIVERY_STEPS = """
OWED      ACCEPTED        SENT
OWED      FAILED_FOR_NOW  OWED
OWED      FAILED_FOR_GOOD PARKED
OWED      REPLACED        WITHDRAWN
OWED      RETRIED         OWED
PARKED    RETRIED         OWED
PARKED    REPLACED        WITHDRAWN
WITHDRAWN ACCEPTED        SENT
WITHDRAWN FAILED_FOR_NOW  WITHDRAWN
WITHDRAWN FAILED_FOR_GOOD WITHDRAWN
WITHDRAWN OWED_AGAIN      OWED
SENT      LOST            OWED
SENT      LOST_FOR_GOOD   PARKED
PARKED    FOUND           SENT
"""

COMMITMENT_STEPS = """
DUE       ACCEPTED        ASKED
DUE       FAILED_FOR_NOW  DUE
DUE       FAILED_FOR_GOOD PARKED
DUE       CONFIRMED       COMMITTED
DUE       DENIED          FAILED
DUE       RETRIED         DUE
DUE       WAIVED          WAIVED
ASKED     ACCEPTED        ASKED
ASKED     FAILED_FOR_NOW  DUE
ASKED     FAILED_FOR_GOOD PARKED
ASKED     CONFIRMED       COMMITTED
ASKED     DENIED          FAILED
ASKED     RETRIED         DUE
ASKED     WAIVED          WAIVED
PARKED    CONFIRMED       COMMITTED
PARKED    DENIED          FAILED
PARKED    RETRIED         DUE
PARKED    WAIVED          WAIVED
FAILED    CONFIRMED       COMMITTED
FAILED    DELIVERED       DUE
FAILED    WAIVED          WAIVED
WAIVED    CONFIRMED       COMMITTED
WAIVED    DELIVERED       DUE
COMMITTED DELIVERED       COMMITTED
"""


def steps(text: str) -> dict[tuple[str, str], str]:
    lines = [line.split() for line in text.strip().splitlines()]
    return {(state, event): after for state, event, after in lines}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(JobState, JobEvent)))
def test_every_step_of_a_job_is_either_listed_or_refused(state, event):
    legal = steps(JOB_STEPS)
    if (state, event) in legal:
        assert move_job(state, event) == legal[state, event]
    else:
        with pytest.raises(IllegalMove, match=f"{state} cannot be {event}"):
            move_job(state, event)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(DeliveryState, DeliveryEvent)))
def test_every_step_of_a_delivery_is_either_listed_or_refused(state, event):
    legal = steps(DELIVERY_STEPS)
    if (state, event) in legal:
        assert move_delivery(state, event) == legal[state, event]
    else:
        with pytest.raises(IllegalMove, match=f"{state} cannot be {event}"):
            move_delivery(state, event)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(CommitmentState, CommitmentEvent)))
def test_every_step_of_a_commitment_is_either_listed_or_refused(state, event):
    legal = steps(COMMITMENT_STEPS)
    if (state, event) in legal:
        assert move_commitment(state, event) == legal[state, event]
    else:
        with pytest.raises(IllegalMove, match=f"{state} cannot be {event}"):
            move_commitment(state, event)


def test_a_finished_job_never_moves_again_and_a_sent_delivery_only_where_the_peer_lost_it():
    assert not any(state == "DONE" for state, _ in steps(JOB_STEPS))
    assert {event for state, event in steps(DELIVERY_STEPS) if state == "SENT"} == {"LOST", "LOST_FOR_GOOD"}


def test_what_is_committed_stays_committed():
    assert {after for (state, _), after in steps(COMMITMENT_STEPS).items() if state == "COMMITTED"} == {
        "COMMITTED"
    }
