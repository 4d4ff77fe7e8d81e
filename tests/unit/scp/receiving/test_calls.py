"""Callers are counted while they call, and written down by a tick."""

from datetime import UTC, datetime

import pytest

from scp.receiving.admission import Decision, Request
from scp.receiving.calls import CallCounts
from storage import calls
from storage.database.engine import Database
from storage.errors import DatabaseError
from storage.refused import Refused

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
REQUEST = Request(calling_ae="STRANGER", called_ae="SECONDREAD", address="192.0.2.9")
REJECTED = Decision(refused=Refused.CALLING_TITLE, reason="not configured")


@pytest.fixture
def database(tmp_path):
    opened = Database.open(tmp_path)
    yield opened
    opened.close()


def latest(database):
    with database.read() as tx:
        return calls.latest(tx)


def test_counts_are_written_once(database):
    counts = CallCounts(database=database, now=lambda: NOW)
    counts.count(REQUEST, REJECTED)
    counts.count(REQUEST, Decision(refused=None, reason="admitted"))
    counts.write_down()
    counts.write_down()
    (caller,) = latest(database)
    assert (caller.rejected, caller.admitted, caller.reason) == (1, 1, "not configured")


def test_what_cannot_be_written_now_is_written_later(database, monkeypatch):
    counts = CallCounts(database=database, now=lambda: NOW)
    counts.count(REQUEST, REJECTED)

    def fail(*_):
        raise DatabaseError("locked")

    with monkeypatch.context() as patch:
        patch.setattr(calls, "add", fail)
        counts.write_down()
    assert latest(database) == []
    counts.write_down()
    assert latest(database)[0].rejected == 1
