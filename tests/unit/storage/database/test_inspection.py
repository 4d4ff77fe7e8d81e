import sqlite3
from contextlib import closing

import pytest

from storage.database import inspection
from storage.database.sqlite.backend import NAME
from storage.errors import DatabaseError


def test_nothing_is_there_and_nothing_is_made(tmp_path):
    assert inspection.inspect(tmp_path / "data") is None
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_database_of_this_program_is_current(database):
    inspected = inspection.inspect(database.backend.file.parent)
    assert inspected.current
    assert inspected.name == str(database.backend.file)


def revision(file, number):
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (number,))
        connection.commit()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_newer_database_is_refused(database):
    revision(database.backend.file, "9999")
    with pytest.raises(DatabaseError, match="newer"):
        inspection.inspect(database.backend.file.parent)


def test_look_leaves_the_file_as_it_is(tmp_path):
    (tmp_path / NAME).write_bytes(b"damaged" * 1000)
    with pytest.raises(DatabaseError, match="damaged"):
        inspection.inspect(tmp_path)
    assert (tmp_path / NAME).read_bytes() == b"damaged" * 1000


def test_database_that_is_gone_is_missed(tmp_path):
    (tmp_path / "instances" / "00").mkdir(parents=True)
    (tmp_path / "instances" / "00" / "image.dcm").write_bytes(b"")
    with pytest.raises(DatabaseError, match="is missing"):
        inspection.inspect(tmp_path)
