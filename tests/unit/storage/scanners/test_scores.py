"""What a report states of its breasts is written with it, and outlives its study."""

from datetime import timedelta

import pytest
from sqlalchemy import insert, select

from storage.database import schema
from storage.errors import Conflict, LeaseLost
from storage.queue import reports
from storage.scanners import scores
from storage.scanners.scores import Scanner
from storage.upkeep import retention
from tests.unit.storage.making import START, STUDY, arrival, breast

RIGHT, LEFT = breast(0.2), breast(0.7, "L", percentile=93, examinations=412)


def stated(database):
    """The breasts of each report, by its sequence."""
    with database.read() as tx:
        ids = tx.execute(select(schema.reports.c.sequence, schema.reports.c.id)).all()
        return {sequence: scores.of_report(tx, report_id) for sequence, report_id in ids}


def test_breasts_are_kept_with_their_report(hand, database):
    hand.answer_study(breasts=[RIGHT, LEFT])
    assert stated(database) == {1: [RIGHT, LEFT]}


def test_no_score_is_kept_where_the_report_is_not(hand, database):
    hand.receive_study()
    hand.analyse_all()
    hand.ask_for_reports()
    job = hand.claimed()
    hand.receive(arrival(0, header_digest="corrected"))
    with pytest.raises(LeaseLost):
        hand.report(job, breasts=[RIGHT])
    with database.read() as tx:
        assert tx.execute(select(schema.breast_scores)).all() == []


def test_a_report_that_is_made_again_keeps_what_it_states(hand, database):
    hand.answer_study(breasts=[RIGHT])
    hand.send_all()
    hand.receive(arrival(0, header_digest="corrected"))
    hand.analyse_all()
    hand.wait(minutes=10)
    hand.ask_for_reports()
    hand.report(hand.claimed(), breasts=[LEFT])
    assert stated(database) == {1: [RIGHT]}


def test_scores_outlive_their_study_as_its_report_does(hand, database):
    hand.answer_study(breasts=[RIGHT])
    hand.send_all()
    with database.write() as tx:
        assert retention.expired(tx, before=hand.now + timedelta(days=1), limit=5)
    assert stated(database) == {1: [RIGHT]}
    assert database.integrity() == "ok"


def test_scores_of_a_report_that_nobody_has_go_with_it(hand, database):
    hand.answer_study(breasts=[RIGHT])
    with database.write() as tx:
        reports.retract(tx, STUDY, now=hand.now)
        assert retention.expired(tx, before=hand.now + timedelta(days=1), limit=5)
    with database.read() as tx:
        assert tx.execute(select(schema.breast_scores)).all() == []


def test_a_percentile_of_nobody_is_refused(hand, database):
    hand.answer_study()
    row = {
        "report_id": 1,
        "position": 0,
        "manufacturer": "",
        "scanner_model": "",
        "network": "net",
        "network_version": "1",
        "malignant": 0.5,
        "threshold": 0.5,
        "threshold_source": "",
        "flagged": True,
        "percentile": 93,
        "reported_at": START,
    }
    with pytest.raises(Conflict, match="percentile_of_examinations"), database.write() as tx:
        tx.execute(insert(schema.breast_scores).values(**row))


def test_names_of_scanners_are_put_in_order():
    scanner = Scanner.of_header("  ACME\n Imaging ", "M" * 100)
    assert scanner == Scanner(manufacturer="ACME Imaging", model="M" * 64)
