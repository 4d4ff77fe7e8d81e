"""For each test a real SQLite file, then a real database of PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.database.engine import Database
from storage.database.sqlite.backend import NAME
from tests.support import postgresql
from tests.unit.storage.making import Hand, assert_counted, empty_database


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "postgresql":
        yield postgresql.emptied()
        return
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / NAME).write_bytes(empty_database())
    opened = Database.open(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def hand(database: Database) -> Iterator[Hand]:
    yield Hand(database)
    assert_counted(database)
