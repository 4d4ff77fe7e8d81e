"""A database that is moved from a file to a real PostgreSQL and back: the same rows, one place in force."""

import itertools

import pytest
from sqlalchemy import select

from storage.database import schema, upgrade
from storage.database.engine import Database
from storage.database.postgresql.guard import Company
from storage.database.sqlite.backend import NAME
from storage.errors import DatabaseError
from storage.queue import commitments
from storage.upkeep import moving
from tests.support import postgresql
from tests.unit.storage.making import START, Hand, assert_counted, breast, empty_database

NUMBERS = itertools.count()


@pytest.fixture
def url():
    return postgresql.shared().create(f"moved_{next(NUMBERS)}")


@pytest.fixture
def data(tmp_path):
    """A node's data directory: one study was sent and waits for commitment, one is owed, one has a job."""
    (tmp_path / NAME).write_bytes(empty_database())
    (tmp_path / "instances").mkdir()
    (tmp_path / "instances" / "image.dcm").touch()
    database = Database.open(tmp_path)
    hand = Hand(database)
    hand.answer_study("1.1", "1.2", breasts=[breast(0.123456789012345)])
    due = hand.due()
    hand.send_all()
    with database.write() as tx:
        for delivery in due:
            commitments.want(tx, delivery, sop_class_uid="1.2", sop_instance_uid="1.3", now=START)
    hand.answer_study("1.3", study="1.2.10", document="1.2.10.1")
    hand.receive_study("1.2.11", images=1)
    with database.write() as tx:
        tx.execute(schema.events.delete())  # their numbers are not used again
        # SQLite remembers 0 as the last number of a table that was given no rows
        tx.exec_driver_sql("INSERT INTO calibrations SELECT * FROM calibrations")
    database.close()
    return tmp_path


def rows(data, url=None):
    database = Database.open(data, url=url)
    with database.read() as tx:
        tables = {
            table.name: sorted(map(repr, tx.execute(select(table))))
            for table in schema.metadata.sorted_tables
        }
    database.close()
    return tables


def test_there_and_back_every_row_is_the_same_and_one_place_is_in_force(data, url):
    before = rows(data)
    moved = moving.move(data, None, url)
    assert moved == sum(map(len, before.values()))
    assert rows(data, url) == before
    with pytest.raises(DatabaseError, match="was moved: name its new place"):
        Database.open(data)
    with pytest.raises(DatabaseError, match="was moved already"):
        moving.move(data, None, url)
    assert moving.move(data, url, None) == moved
    assert rows(data) == before
    with pytest.raises(DatabaseError, match="was moved: name its new place"):
        Database.open(data, url=url)
    assert moving.move(data, None, url) == moved
    assert rows(data, url) == before


@pytest.mark.parametrize("back", [False, True])
def test_what_was_owed_goes_on_in_the_new_place(data, url, back):
    last = Database.open(data)
    with last.read() as tx:
        (number,) = tx.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'events'").one()
    last.close()
    moving.move(data, None, url)
    if back:
        moving.move(data, url, None)
    database = Database.open(data, url=None if back else url)
    hand = Hand(database, now=START)
    assert hand.due_uids() == ["1.2.10.1", "1.3"]
    hand.analyse_all()
    hand.receive_study("1.2.12", images=1)
    with database.read() as tx:
        assert tx.execute(select(schema.events.c.id)).scalars().first() == number + 1
    assert_counted(database)
    database.close()


def test_a_place_that_holds_a_database_is_left_as_it_is(data, tmp_path_factory, url):
    Database.open(tmp_path_factory.mktemp("empty"), url=url).close()
    before = rows(data)
    with pytest.raises(DatabaseError, match="holds a database already"):
        moving.move(data, None, url)
    with pytest.raises(DatabaseError, match="holds a database already"):
        moving.move(data, None, None)
    assert rows(data) == before


def test_nothing_is_moved_where_there_is_nothing_or_a_node_works(data, tmp_path, url):
    with pytest.raises(DatabaseError, match=r"nothing in .* to move"):
        moving.move(tmp_path / "elsewhere", None, url)
    moving.move(data, None, url)
    node = Database.open(data, url=url, company=Company.NOBODY)
    with pytest.raises(DatabaseError, match="another node"):
        moving.move(data, url, None)
    node.close()


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize(
    ("back", "commit"), [(False, "the rows"), (False, "the source"), (False, "the end"), (True, "the source")]
)
def test_a_move_that_is_killed_ends_when_it_is_run_again(data, url, back, commit, monkeypatch):
    before = rows(data)
    places = (None, url)
    if back:
        moving.move(data, None, url)
        places = (url, None)
    write, calls = upgrade.write_revision, itertools.count(1)

    def die(tx, revision):
        write(tx, revision)
        if next(calls) == ["the rows", "the source", "the end"].index(commit) + 1:
            raise KilledError

    monkeypatch.setattr(upgrade, "write_revision", die)
    with pytest.raises(KilledError):
        moving.move(data, *places)
    monkeypatch.undo()
    if commit == "the end":
        with pytest.raises(DatabaseError, match="was moved"):
            rows(data, places[0])
    else:
        assert rows(data, places[0]) == before
    if commit != "the rows":
        with pytest.raises(DatabaseError, match="did not end: run `move-database` again"):
            rows(data, places[1])
    moving.move(data, *places)
    assert rows(data, places[1]) == before
