from datetime import timedelta

import pytest

from scp import retry_policy
from scp.configuration.sections import Delivery
from scp.retry_policy import Backoff

BACKOFF = Backoff(first=timedelta(seconds=30), longest=timedelta(minutes=15))


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 30), (2, 60), (3, 120), (5, 480), (6, 900), (1000, 900)]
)
def test_wait_doubles_up_to_the_longest(failures, seconds):
    assert BACKOFF.wait(failures) == timedelta(seconds=seconds)


def test_jitter_shortens_by_at_most_a_quarter():
    assert BACKOFF.wait(1, jitter=1) == timedelta(seconds=22.5)


def test_operator_decides_about_the_waits_of_a_peer():
    backoff = retry_policy.of_peer(Delivery(first_retry_seconds=7, longest_retry_seconds=8))
    assert [backoff.wait(failures).total_seconds() for failures in (1, 2)] == [7, 8]
