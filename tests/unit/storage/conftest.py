"""A real SQLite file for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.database import Database
from tests.unit.storage.making import Hand


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def hand(database: Database) -> Hand:
    return Hand(database)
