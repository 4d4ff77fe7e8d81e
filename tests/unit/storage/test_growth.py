"""No question that the node asks again and again reads a whole table of what it has kept: its plan says so.

SQLite plans by the indices alone, whatever the rows; PostgreSQL is told that reading whole tables costs most.
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import product

import pytest
from sqlalchemy import event, text

from scp.retry_policy import JOB
from storage import history
from storage.overview import attention, deliveries, pages, recent, search, studies, waiting
from storage.overview.pages import Choice
from storage.overview.search import Term
from storage.queue import arrivals, commitments, copies, jobs
from storage.queue import deliveries as outbox
from storage.records import JobKind
from storage.scanners import populations
from storage.upkeep import clock_repair, retention
from storage.upkeep.clock_repair import LongestWaits
from tests.unit.storage.making import LEASE, NETWORK, SCANNER, START, STUDY, Hand, arrival, breast

HISTORY = (
    "studies|senders|routes|instances|copies|descriptions|findings|first_findings|jobs|reports|report_senders|"
    "breast_scores|results|deliveries|commitments|commitment_requests|commitment_items|events"
)
IN_ORDER = "ix_studies_last|ix_senders_title|ix_deliveries_sent|ix_breast_scores_scanner"
"""Indices that are read from one end to the first rows that are wanted, always with a LIMIT."""
WHOLE = {
    "sqlite": rf"SCAN ({HISTORY})\b(?! USING (COVERING )?INDEX ({IN_ORDER}))",
    "postgresql": rf"Seq Scan on ({HISTORY})\b",
}
"""How a plan says that a whole table is read."""
DIGEST = "d" * 64
LONG = timedelta(days=1)


@pytest.fixture
def statements(database):
    """Each statement that was done, with its values."""
    executed = []

    def note(_connection, _cursor, statement, values, _context, _many):
        executed.append((statement, values))

    event.listen(database.engine, "before_cursor_execute", note)
    yield executed
    event.remove(database.engine, "before_cursor_execute", note)


def plans(database, statements):
    """Return the plan of each statement, by its words."""
    kind = database.engine.dialect.name
    explain = "EXPLAIN QUERY PLAN " if kind == "sqlite" else "EXPLAIN "
    words = {
        statement: values
        for statement, values in statements
        if statement.startswith(("SELECT", "UPDATE", "DELETE"))
    }
    with database.write() as tx:
        if kind == "postgresql":
            tx.execute(text("SET LOCAL enable_seqscan = off"))
        return {
            statement: [str(row[-1]) for row in tx.exec_driver_sql(explain + statement, values)]
            for statement, values in words.items()
        }


def whole_tables(database, statements):
    kind = database.engine.dialect.name
    return [
        f"{line}: {statement}"[:600]
        for statement, plan in plans(database, statements).items()
        for line in plan
        if re.search(WHOLE[kind], line)
    ]


def test_the_way_of_a_study_reads_no_whole_table(database, statements):
    hand = Hand(database)
    hand.answer_study("1.1", "1.2", breasts=[breast(0.2)])
    due = hand.due()
    hand.send_all()
    with database.write() as tx:
        for delivery in due:
            commitments.want(tx, delivery, sop_class_uid="1.2", sop_instance_uid="1.3", now=START)
        commitments.due(tx, now=hand.now, destination="PACS")
        commitments.due_destinations(tx, now=hand.now)
        outbox.due_destinations(tx, now=hand.now)
    hand.receive(arrival(0, header_digest="corrected"))
    assert len(statements) > 30
    assert not whole_tables(database, statements)


def test_upkeep_reads_no_whole_table(database, statements):
    hand = Hand(database)
    hand.answer_study("1.1")
    due = hand.due()
    hand.send_all()
    with database.write() as tx:
        for delivery in due:
            commitments.want(tx, delivery, sop_class_uid="1.2", sop_instance_uid="1.3", now=START)
        commitments_due = commitments.due(tx, now=hand.now, destination="PACS")
        ids = [commitment.delivery_id for commitment in commitments_due]
        commitments.open_request(tx, "1.2.3", "PACS", ids, now=START)
        commitments.waive_all_but(tx, [])
    with database.write() as tx:
        jobs.expire(tx, now=hand.now, epitaph="died", living=None)
        jobs.oldest_waiting(tx, now=hand.now)
        clock_repair.make_due(
            tx,
            now=hand.now,
            longest=LongestWaits(lease=LEASE, job=JOB.longest, delivery=LONG, commitment=LONG),
        )
        retention.with_pixels(tx, before=hand.now, promised_since=hand.now)
        arrivals.unneeded(tx, ["instances/0.dcm"])
        copies.names(tx, "identities/0")
        retention.unnamed(tx, ["instances/0.dcm"])
        (forgotten,) = retention.expired(tx, before=hand.now + LONG, limit=5)
        retention.unneeded(tx, forgotten)
    assert not whole_tables(database, statements)


def questions(now) -> Iterator:
    """Give all that is asked for `status`, `studies`, pages and metrics."""
    terms = None, Term(words="1.2", patients=(DIGEST, DIGEST)), Term(words="1.2"), Term(words="PACS")
    for choice, term in product(Choice, terms):
        yield partial(pages.page, term=term, choice=choice, offset=0, limit=50)
    yield lambda tx: pages.has_patient(tx, DIGEST)
    yield lambda tx: pages.patient_digests(tx, [STUDY])
    yield lambda tx: pages.senders(tx, [STUDY])
    yield lambda tx: pages.flags(tx, [STUDY])
    yield lambda tx: studies.overview(tx, limit=20)
    yield lambda tx: studies.kept_as(tx, STUDY)
    yield lambda tx: waiting.of_studies(tx, [STUDY])
    yield lambda tx: deliveries.of_study(tx, STUDY)
    yield lambda tx: deliveries.current_results(tx, STUDY)
    yield lambda tx: history.of(tx, STUDY)
    yield lambda tx: arrivals.images(tx, STUDY)
    yield lambda tx: recent.hours(tx, now=now)
    yield lambda tx: recent.return_seconds(tx, now=now)
    yield lambda tx: recent.studies_since(tx, now)
    yield lambda tx: recent.bytes_a_day(tx, now=now)
    yield populations.scanners
    yield lambda tx: populations.last(tx, SCANNER, NETWORK, limit=5)
    yield lambda tx: populations.first(tx, SCANNER, NETWORK, limit=5)
    yield lambda tx: populations.count(tx, SCANNER, NETWORK, since=now, most=5)
    yield from (jobs.counts, outbox.counts, commitments.counts, outbox.oldest_owed, outbox.last_success)
    yield from (attention.delivery_problems, attention.commitment_warnings)
    yield from (attention.parked_jobs, attention.mixed_studies)


@pytest.mark.parametrize("many", [0, 1000])
def test_what_people_look_at_reads_no_whole_table(database, statements, monkeypatch, many):
    """Once with senders and beginnings of UIDs that few studies have, once as if many had them."""
    monkeypatch.setattr(search, "MANY", many)
    monkeypatch.setattr(search, "LOOKED_THROUGH", 0)
    hand = Hand(database)
    hand.answer_study("1.1", breasts=[breast(0.2)])
    hand.receive(arrival(0, study="1.2.10"))
    assert hand.claimed().kind is JobKind.ANALYSE
    statements.clear()
    for ask in questions(hand.now):
        with database.read() as tx:
            ask(tx)
    assert not whole_tables(database, statements)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_scores_of_a_scanner_are_read_from_its_index_as_they_stand_there(database, statements):
    """What is sorted is read to its end first, however few are wanted. A server sorts what is so little."""
    with database.read() as tx:
        populations.last(tx, SCANNER, NETWORK, limit=5)
        populations.first(tx, SCANNER, NETWORK, limit=5)
        populations.count(tx, SCANNER, NETWORK, since=START, most=5)
    for plan in plans(database, statements).values():
        assert any("COVERING INDEX ix_breast_scores_scanner" in line for line in plan)
        assert not any("TEMP B-TREE" in line for line in plan)
