"""What is told once, what again, and when it is over: without clock, socket and row."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from scp.alerts.book import OVER_AFTER, Book
from scp.alerts.conditions import Condition, Kind, Observation, RefusalCounts

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DAY = timedelta(hours=24)
MINUTE = timedelta(minutes=1)
DISK = Condition(kind=Kind.DISK, words="The disk is nearly full.")
PACS = Condition(kind=Kind.PEER, subject="PACS", words="PACS has taken nothing.")
NO_CONDITION = Observation(conditions=())


@pytest.fixture
def book():
    return Book([])


def step(book, at, *conditions, unknown=(), channel="mail"):
    """Look once and tell what there is over the channel; return words raised, repeated and over."""
    book.note(Observation(conditions=conditions, unknown=frozenset(unknown)), {channel}, now=at)
    news = book.news(channel, repeat=DAY, now=at)
    book.mark_told(news, now=at)
    return [[notice.words for notice in notices] for notices in (news.raised, news.repeated, news.over)]


def test_a_condition_is_told_once_then_once_a_day_then_its_end(book):
    assert step(book, NOON, DISK) == [[DISK.words], [], []]
    looks = [step(book, NOON + number * MINUTE, DISK) for number in range(1, 2 * 24 * 60 + 2)]
    assert [look for look in looks if look != [[], [], []]] == [[[], [DISK.words], []]] * 2
    later = NOON + 2 * DAY + 2 * MINUTE
    assert step(book, later) == [[], [], []]
    assert step(book, later + OVER_AFTER) == [[], [], [DISK.words]]
    assert step(book, later + OVER_AFTER + MINUTE) == [[], [], []]
    assert book.notices == ()


def test_what_comes_and_goes_is_told_once(book):
    step(book, NOON, PACS)
    for number in range(1, 60):
        assert step(book, NOON + number * MINUTE, *([PACS] if number % 5 else [])) == [[], [], []]


def test_what_was_over_before_anybody_heard_of_it_is_told_to_nobody(book):
    book.note(Observation(conditions=(DISK,)), {"mail"}, now=NOON)
    for at in (NOON + MINUTE, NOON + MINUTE + OVER_AFTER):
        book.note(NO_CONDITION, {"mail"}, now=at)
        assert not book.news("mail", repeat=DAY, now=at)
    assert book.notices == ()


def test_each_channel_has_notices_of_its_own(book):
    book.note(Observation(conditions=(DISK,)), {"mail", "webhook"}, now=NOON)
    book.mark_told(book.news("mail", repeat=DAY, now=NOON), now=NOON)
    assert not book.news("mail", repeat=DAY, now=NOON)
    assert [notice.words for notice in book.news("webhook", repeat=DAY, now=NOON).raised] == [DISK.words]
    book.note(NO_CONDITION, {"mail"}, now=NOON)
    assert {notice.channel for notice in book.notices} == {"mail"}


def test_what_cannot_be_seen_now_is_not_over(book):
    step(book, NOON, PACS)
    condition = Condition(kind=Kind.DATABASE, words="Gone.")
    assert step(book, NOON + MINUTE, condition, unknown={Kind.PEER}) == [["Gone."], [], []]
    assert step(book, NOON + DAY / 2, condition, unknown={Kind.PEER}) == [[], [], []]
    assert step(book, NOON + DAY / 2 + MINUTE, PACS) == [[], [], []]


def test_a_clock_that_is_set_back_ends_no_alert_for_ever(book):
    step(book, NOON, DISK)
    assert step(book, NOON - 2 * DAY, DISK) == [[], [DISK.words], []]
    assert step(book, NOON - 2 * DAY + MINUTE, DISK) == [[], [], []]


def test_a_book_that_was_written_down_goes_on(book):
    step(book, NOON, DISK)
    again = Book(book.notices)
    assert step(again, NOON + MINUTE, replace(DISK, words="Less.")) == [[], [], []]
    assert again.notices[0].words == "Less."
    assert again.notices[0].raised_at == NOON


def test_rejections_count_for_an_hour():
    counts = RefusalCounts()
    assert counts.grown({"CT": 500}, now=NOON) == {"CT": 0}
    assert counts.grown({"CT": 512}, now=NOON + MINUTE) == {"CT": 12}
    assert counts.grown({"CT": 512, "MR": 3}, now=NOON + 30 * MINUTE) == {"CT": 12, "MR": 0}
    assert counts.grown({"CT": 512, "MR": 4}, now=NOON + 62 * MINUTE) == {"CT": 0, "MR": 1}
