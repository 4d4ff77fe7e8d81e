from datetime import timedelta

import pytest

from scp.delivering.backoff import delay

FIRST, LONGEST = timedelta(seconds=30), timedelta(minutes=15)


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 30), (2, 60), (3, 120), (5, 480), (6, 900), (1000, 900)]
)
def test_wait_doubles_up_to_the_longest(attempt, seconds):
    assert delay(attempt, first=FIRST, longest=LONGEST, jitter=0) == timedelta(seconds=seconds)


def test_jitter_shortens_by_at_most_a_quarter():
    assert delay(1, first=FIRST, longest=LONGEST, jitter=1) == timedelta(seconds=22.5)
