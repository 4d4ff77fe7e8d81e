from datetime import datetime, time, timedelta

import pytest

from scp.errors import CommandError
from scp.fetching.pace import LONGEST_PAUSE, MOST_WAITING, Hours, Pace

NIGHT = Hours(opening=time(22), closing=time(6))
NOON = datetime(2026, 3, 1, 12, 0).astimezone()


class Clock:
    """Moves when it is waited for."""

    def __init__(self):
        self.now = NOON
        self.announced = []

    def pause(self, seconds):
        assert 0 < seconds <= LONGEST_PAUSE
        self.now += timedelta(seconds=seconds)

    def pace(self, *, hours=None, interval=timedelta(0), waiting=lambda: 0):
        return Pace(hours=hours, interval=interval, waiting=waiting, now=lambda: self.now, pause=self.pause)


@pytest.fixture
def clock():
    return Clock()


@pytest.mark.parametrize(
    ("text", "opening", "closing"),
    [("22-6", time(22), time(6)), ("22:30 - 05:45", time(22, 30), time(5, 45)), ("18-24", time(18), time(0))],
)
def test_hours_are_read(text, opening, closing):
    assert Hours.read(text) == Hours(opening=opening, closing=closing)


@pytest.mark.parametrize("text", ["night", "22", "25-6", "22:60-6", "22-6-7"])
def test_what_are_no_hours_is_explained(text):
    with pytest.raises(CommandError, match="22:30-05:45"):
        Hours.read(text)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [("21:59", False), ("22:00", True), ("00:00", True), ("05:59", True), ("06:00", False)],
)
def test_night_is_open_over_midnight(moment, expected):
    assert NIGHT.open_at(time.fromisoformat(moment)) is expected


def test_hours_of_one_day():
    assert Hours(opening=time(9), closing=time(17)).open_at(time(12))
    assert not Hours(opening=time(9), closing=time(17)).open_at(time(17))


def test_study_waits_for_the_night(clock):
    clock.pace(hours=NIGHT).wait(clock.announced.append)
    assert clock.now.time() == time(22)
    assert set(clock.announced) == {f"waiting for 22:00 {NOON:%Z}"}


def test_studies_keep_their_distance(clock):
    pace = clock.pace(interval=timedelta(minutes=5))
    for minutes in (0, 5, 10):
        pace.wait(clock.announced.append)
        assert clock.now == NOON + timedelta(minutes=minutes)
    assert set(clock.announced) == {"waiting, for the rate limit"}


def test_clock_that_is_set_back_does_not_stop_the_fetch(clock):
    pace = clock.pace(interval=timedelta(minutes=5))
    pace.wait(clock.announced.append)
    clock.now -= timedelta(days=1)
    pace.wait(clock.announced.append)
    assert clock.now == NOON - timedelta(days=1)


def test_study_waits_until_the_node_has_read_most_of_what_it_has(clock):
    counts = iter([MOST_WAITING + 2, MOST_WAITING + 1, MOST_WAITING])
    clock.pace(waiting=lambda: next(counts)).wait(clock.announced.append)
    assert clock.announced == ["waiting for the node to read what it has"] * 2
