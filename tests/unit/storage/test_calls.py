"""Who called is counted, and never by the thousand."""

from dataclasses import replace
from datetime import timedelta

from storage import calls
from storage.calls import MOST, Calls
from tests.unit.storage.making import START

STRANGER = Calls(
    calling_ae="STRANGER",
    address="192.0.2.9",
    admitted=0,
    admitted_at=None,
    rejected=2,
    rejected_at=START,
    reason="not configured",
)


def written(database, *many):
    with database.write() as tx:
        calls.add(tx, many)
    with database.read() as tx:
        return calls.latest(tx)


def test_calls_of_one_caller_add_up(database):
    written(database, STRANGER)
    later = START + timedelta(minutes=1)
    (caller,) = written(
        database, replace(STRANGER, rejected=0, rejected_at=None, admitted=1, admitted_at=later)
    )
    assert (caller.rejected, caller.admitted, caller.last_at) == (2, 1, later)
    assert (caller.reason, caller.rejected_at) == ("not configured", START)


def test_the_callers_that_were_silent_longest_are_forgotten(database):
    many = [
        replace(STRANGER, calling_ae=f"AE{number}", rejected_at=START + timedelta(seconds=number))
        for number in range(MOST + 5)
    ]
    callers = written(database, *many)
    assert len(callers) == MOST
    assert callers[-1].calling_ae == "AE5"
