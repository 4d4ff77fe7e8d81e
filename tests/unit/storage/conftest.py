"""A real SQLite file for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.database.engine import NAME, Database
from tests.unit.storage.making import Hand, empty_database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / NAME).write_bytes(empty_database())
    opened = Database.open(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def hand(database: Database) -> Hand:
    return Hand(database)
