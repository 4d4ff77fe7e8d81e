"""What the console's pages ask of the database."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from storage.database import schema
from storage.overview import deliveries as delivery_ledger
from storage.overview import pages, recent, search, waiting
from storage.overview.pages import Choice
from storage.overview.search import Term
from storage.queue import deliveries, study_changes
from storage.records import JobKind
from tests.unit.storage.making import FAILED, STUDY, arrival, breast


def uids(hand, words=None, patients=None, **choice):
    if words is not None:
        choice["term"] = Term(words=words, patients=patients)
    with hand.database.read() as tx:
        page = pages.page(tx, **({"offset": 0, "limit": 10} | choice))
    return page.total, [study.study_uid for study in page.studies]


def page_of(hand, words, patients=None, choice=Choice.ALL):
    with hand.database.read() as tx:
        page = pages.page(tx, term=Term(words=words, patients=patients), choice=choice, offset=0, limit=5)
    return [study.study_uid for study in page.studies], page.complete


def wait_of(hand):
    with hand.database.read() as tx:
        return waiting.of_studies(tx, [STUDY])[STUDY]


@pytest.fixture
def two(hand):
    """One study that is reported and owed, and a later one that is to be analysed."""
    hand.answer_study("1.1")
    hand.wait(seconds=10)
    hand.receive(arrival(0, study="1.2.8", source_ae="MODALITY", patient_digest="d" * 64))
    return hand


def test_pages_come_latest_first_and_count_all(two):
    assert uids(two) == (2, ["1.2.8", STUDY])
    assert uids(two, limit=1) == (2, ["1.2.8"])
    assert uids(two, limit=1, offset=1) == (2, [STUDY])
    assert uids(two, offset=2) == (2, [])


def test_studies_far_beyond_a_page_are_not_counted(two, monkeypatch):
    monkeypatch.setattr(pages, "COUNTED", 0)
    with two.database.read() as tx:
        first = pages.page(tx, offset=0, limit=1)
        last = pages.page(tx, offset=1, limit=1)
    assert (first.total, first.more) == (1, True)
    assert (last.total, last.more) == (2, False)


def test_studies_are_found_by_uid_sender_patient_and_choice(two):
    assert uids(two, words="2.8") == (1, ["1.2.8"])
    assert uids(two, words="modal") == (1, ["1.2.8"])
    assert uids(two, words="%") == (0, [])
    assert uids(two, words="P-ABC", patients=("d" * 8, "d" * 64)) == (1, ["1.2.8"])
    assert uids(two, choice=Choice.OWED) == (1, [STUDY])
    assert uids(two, choice=Choice.WORKING) == (1, ["1.2.8"])
    assert uids(two, choice=Choice.PARKED) == (0, [])
    with two.database.write() as tx:
        deliveries.never(tx, two.due()[0].id, status=0xA900, reason="full", now=two.now)
    assert uids(two, choice=Choice.PARKED) == (1, [STUDY])


@pytest.mark.parametrize("choice", Choice)
def test_words_that_fit_nothing_find_nothing(two, choice):
    assert page_of(two, "nonsense", choice=choice) == ([], True)


def test_a_search_is_as_long_as_it_is_with_few_studies(two, monkeypatch):
    """Of very many studies the latest are looked through; indices know beginnings, senders, patients."""
    monkeypatch.setattr(search, "LOOKED_THROUGH", 1)
    two.wait(seconds=10)
    two.receive(arrival(0, study="1.2.7"))
    assert page_of(two, "2.8") == ([], False)
    assert page_of(two, "2.7") == (["1.2.7"], False)
    assert page_of(two, "1.2.8") == (["1.2.8"], False)
    assert page_of(two, "MODA") == (["1.2.8"], True)
    assert page_of(two, "pacs") == (["1.2.7", STUDY], True)
    assert page_of(two, "P-", patients=("d" * 8, "d" * 64)) == (["1.2.8"], True)
    assert page_of(two, "2.8", choice=Choice.WORKING) == (["1.2.8"], True)
    monkeypatch.setattr(search, "MANY", 1)
    assert page_of(two, "pacs") == (["1.2.7"], False)
    assert page_of(two, "1.2") == (["1.2.7"], False)


def test_what_a_study_waits_for(hand):
    hand.receive_study()
    assert wait_of(hand).images_left == 4
    hand.analyse_all()
    assert (wait_of(hand).images_left, wait_of(hand).changed_at) == (0, hand.now)
    hand.ask_for_reports()
    assert wait_of(hand).report_open
    hand.report(hand.claimed(), "1.1")
    assert wait_of(hand).owed_to == ("PACS",)
    with hand.database.write() as tx:
        deliveries.never(tx, hand.due()[0].id, status=0xA900, reason="it is full", now=hand.now)
    assert wait_of(hand).parked == "PACS refused: it is full"


def test_the_last_hours_count_and_time_what_happened(hand):
    hand.answer_study("1.1")
    hand.wait(seconds=30)
    hand.send_all()
    with hand.database.read() as tx:
        hours = recent.hours(tx, now=hand.now + timedelta(minutes=5))
        assert recent.studies_since(tx, hand.now) == 0
        assert recent.bytes_a_day(tx, now=hand.now) is None
        assert recent.bytes_a_day(tx, now=hand.now + timedelta(days=2)) == pytest.approx(2000, rel=0.01)
    last = hours[-1]
    assert (last.received, last.analysed, last.returned, last.seconds) == (4, 4, 2, 30.0)
    assert sum(hour.received for hour in hours) == 4


def test_a_study_that_is_analysed_again_is_reported_again_if_something_differs(hand):
    hand.answer_study("1.1")
    with hand.database.read() as tx:
        assert [result.sop_instance_uid for result in delivery_ledger.current_results(tx, STUDY)] == [
            "1.2.9.1",
            "1.1",
        ]
    with hand.database.write() as tx:
        assert study_changes.analyse_again(tx, STUDY, now=hand.now) == 4
        assert study_changes.analyse_again(tx, "1.2.404", now=hand.now) == 0
    hand.analyse(hand.claimed(), FAILED)
    hand.analyse_all()
    hand.wait(minutes=3)
    assert hand.ask_for_reports() == 1
    assert hand.claimed().kind is JobKind.REPORT


def test_which_breasts_the_report_in_force_flags(hand):
    first = [breast(0.9, "L"), breast(0.8), breast(0.1)]  # of the right one there are two sizes, read alone
    hand.answer_study("1.1", document="1.2.9.1", breasts=first)
    with hand.database.read() as tx:
        assert pages.flags(tx, [STUDY, "1.2.8"]) == {STUDY: {"R": True, "L": True}}
        assert list(pages.flags(tx, [STUDY])[STUDY]) == ["R", "L"]
    with hand.database.write() as tx:
        tx.execute(update(schema.reports).values(current=False))
    with hand.database.read() as tx:
        assert pages.flags(tx, [STUDY]) == {}
