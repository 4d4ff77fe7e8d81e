"""The state tables, written a second time by hand, and their complement."""

import itertools

import pytest

from storage.errors import IllegalMove
from storage.states import (
    DeliveryEvent,
    DeliveryState,
    JobEvent,
    JobState,
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


def test_a_finished_job_and_a_sent_delivery_never_move_again():
    assert not any(state == "DONE" for state, _ in steps(JOB_STEPS))
    assert not any(state == "SENT" for state, _ in steps(DELIVERY_STEPS))
