"""The row of a process: it comes, goes, and does not come back."""

import contextlib
from unittest.mock import Mock

import pytest

from scp.roles.presence import Presence
from scp.roles.signals import End
from storage import machines
from storage.database.engine import Database
from storage.database.sqlite.backend import File
from storage.errors import DatabaseError, PlaceTaken


@pytest.fixture
def database(tmp_path):
    with contextlib.closing(Database.open(tmp_path)) as opened:
        yield opened


def names(database):
    with database.read() as tx:
        return [machine.name for machine in machines.every(tx)]


def test_process_that_has_ended_gives_no_sign_of_life_any_more(database):
    presence = Presence(database, "receive")
    presence.start()
    assert names(database) == [presence.name]
    presence.stop()
    presence.tell_if_possible()  # an association that was cut off is forgotten later
    assert names(database) == []


def test_process_whose_first_sign_of_life_fails_ends_with_that_reason(database, monkeypatch):
    monkeypatch.setattr(File, "check_place", Mock(side_effect=DatabaseError("gone")))
    presence = Presence(database, "receive")
    with pytest.raises(DatabaseError, match="gone"):
        presence.start()
    presence.stop()


@pytest.mark.parametrize(("fault", "ends"), [(PlaceTaken("another"), True), (DatabaseError("away"), False)])
def test_process_ends_where_a_node_alone_has_its_place_and_waits_for_a_server_that_is_away(
    database, monkeypatch, fault, ends
):
    presence, stop = Presence(database, "work"), End()
    presence.displaced = stop.fail
    monkeypatch.setattr(File, "check_place", Mock(side_effect=fault))
    presence.tell_if_possible()
    assert (stop.is_set(), stop.fault) == (ends, fault if ends else None)
