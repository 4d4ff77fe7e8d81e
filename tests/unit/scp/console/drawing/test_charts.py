"""Bars of the charts: where they stand, how high, and what they say."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from scp.console.drawing import charts
from storage.overview.recent import Hour


def hours(*received):
    first = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
    return [
        Hour(begin=first + timedelta(hours=number), received=count, analysed=0, returned=0, seconds=None)
        for number, count in enumerate(received)
    ]


def test_the_highest_bar_fills_the_chart_and_the_others_their_share():
    images, *_ = charts.of_day(hours(10, 5, 0))
    assert [bar.height for bar in images.bars] == [charts.HEIGHT, charts.HEIGHT / 2, 0]
    assert all(bar.y + bar.height == pytest.approx(charts.HEIGHT) for bar in images.bars)
    assert (images.total, images.highest) == ("15", "10")


def test_hours_say_their_zone():
    images, *_ = charts.of_day(hours(10))
    hour = datetime(2026, 3, 1, 8, 0, tzinfo=UTC).astimezone()
    assert images.rows == ((f"{hour:%H:%M %Z}", "10"),)
    assert images.bars[0].words == f"from {hour:%H:%M %Z}: 10"


def test_one_among_thousands_is_still_seen():
    images, *_ = charts.of_day(hours(100_000, 1))
    assert images.bars[1].height == 2


def test_a_day_without_anything_has_no_bar_and_says_so():
    *_, waiting = charts.of_day(hours(0, 0))
    assert {bar.height for bar in waiting.bars} == {0}
    assert waiting.total == "none yet"
    assert [value for _, value in waiting.rows] == ["none", "none"]  # no time, which is not no seconds


def test_bars_stand_side_by_side():
    bars = charts.histogram([0.5], bins=4)
    assert all(left.x + left.width < right.x for left, right in pairwise(bars))


@pytest.mark.parametrize(("value", "part"), [(0.0, 0), (0.24, 0), (0.25, 1), (1.0, 3), (1.2, 3), (-0.1, 0)])
def test_each_score_lies_in_its_part(value, part):
    bars = charts.histogram([value], bins=4)
    assert [bar.height > 0 for bar in bars] == [number == part for number in range(4)]
