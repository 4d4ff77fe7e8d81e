"""Opening, migrating and refusing databases: never a silent fresh start."""

import shutil
import sqlite3
import threading
from contextlib import closing

import pytest
from sqlalchemy import create_engine, delete, select, text
from sqlalchemy.exc import OperationalError

from storage.database import schema, upgrade
from storage.database.engine import Database
from storage.database.sqlite import creation
from storage.database.sqlite.backend import NAME, translated
from storage.errors import DatabaseError, Full
from storage.files.folder import FolderArchive
from tests.unit.storage.making import START, STUDY, Hand, arrival

NEWEST = max(file.name[1:5] for file in upgrade.SCRIPTS.glob("versions/v*.py"))
NEXT = f"{int(NEWEST) + 1:04}"

NEXT_STEP = f'''"""A step for a test."""
import sqlalchemy as sa
from alembic import op

revision = "{NEXT}"
down_revision = "{NEWEST}"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("studies", sa.Column("note", sa.Text(), nullable=True))
    {{more}}
'''


def newer_scripts(tmp_path, more="pass"):
    scripts = tmp_path / "migrations of the next version, 100%"
    shutil.copytree(upgrade.SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / f"v{NEXT}_note.py").write_text(NEXT_STEP.format(more=more))
    return scripts


def columns_of_studies(file):
    with closing(sqlite3.connect(file)) as connection:
        return {row[1] for row in connection.execute("PRAGMA table_info(studies)")}


def shape(connection):
    """Return every table and index with its SQL; the order of a table's constraints says nothing."""
    rows = connection.execute(
        text(
            "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' AND name <> 'alembic_version'"
        )
    )
    return {
        row.name: sorted(part.strip(" ,)") for part in " ".join(row.sql.split()).split("CONSTRAINT"))
        for row in rows
    }


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_migrations_lead_to_the_schema_that_the_code_uses(database):
    fresh = create_engine("sqlite://")
    schema.metadata.create_all(fresh)
    with database.read() as tx, fresh.connect() as connection:
        assert shape(tx) == shape(connection)
    fresh.dispose()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_open_database_survives_a_power_cut(database):
    with database.write() as tx:
        pragmas = {
            name: tx.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_who_reads_much_holds_more_of_the_file_and_survives_a_power_cut_too(tmp_path):
    with closing(Database.open(tmp_path, cache_kb=8_000)) as database, database.read() as tx:
        pragmas = [
            tx.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("cache_size", "synchronous")
        ]
    assert pragmas == [-8_000, 2]


def test_the_directory_is_made_for_its_user_alone(tmp_path):
    Database.open(tmp_path / "a" / "b").close()
    assert (tmp_path / "a" / "b").stat().st_mode & 0o077 == 0
    assert (tmp_path / "a" / "b" / NAME).stat().st_mode & 0o077 == 0


def test_what_was_committed_is_there_after_opening_again(tmp_path):
    first = Database.open(tmp_path)
    Hand(first).receive(arrival())
    first.close()
    again = Database.open(tmp_path)
    with again.read() as tx:
        assert tx.execute(select(schema.studies.c.study_uid)).scalars().all() == [STUDY]
    assert again.integrity() == "ok"
    again.close()


def test_what_raises_changes_nothing(database):
    def broken(tx):
        tx.execute(
            schema.studies.insert().values(
                study_uid=STUDY, changed=False, changed_at=START, first_at=START, last_at=START
            )
        )
        raise RuntimeError

    with pytest.raises(RuntimeError), database.write() as tx:
        broken(tx)
    with database.read() as tx:
        assert tx.execute(select(schema.studies)).all() == []


def test_an_old_database_is_backed_up_and_migrated(tmp_path):
    old = Database.open(tmp_path)
    Hand(old).receive(arrival())
    old.close()
    new = Database.open(tmp_path, scripts=newer_scripts(tmp_path))
    with new.read() as tx:
        assert tx.execute(select(schema.studies.c.study_uid)).scalars().all() == [STUDY]
    new.close()
    assert "note" in columns_of_studies(tmp_path / NAME)
    backup = tmp_path / f"secondread-before-{NEXT}.sqlite"
    assert "note" not in columns_of_studies(backup)
    assert backup.stat().st_mode & 0o077 == 0
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("SELECT study_uid FROM studies").fetchall() == [(STUDY,)]


def test_a_migration_that_fails_changes_nothing(tmp_path):
    Database.open(tmp_path).close()
    scripts = newer_scripts(tmp_path, more="op.execute('SELECT * FROM missing')")
    with pytest.raises(DatabaseError, match="no such table: missing"):
        Database.open(tmp_path, scripts=scripts)
    assert "note" not in columns_of_studies(tmp_path / NAME)
    Database.open(tmp_path).close()


def test_a_database_that_is_not_migrated_makes_no_backup(tmp_path):
    Database.open(tmp_path).close()
    Database.open(tmp_path).close()
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_newer_database_is_refused_and_left_as_it_is(tmp_path):
    Database.open(tmp_path, scripts=newer_scripts(tmp_path)).close()
    before = (tmp_path / NAME).read_bytes()
    with pytest.raises(DatabaseError, match=rf"schema {NEXT}, newer than the {NEWEST} .* install"):
        Database.open(tmp_path)
    assert (tmp_path / NAME).read_bytes() == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"this is no database at all, only words" * 100,
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:4096] + b"\xff" * 4096 + whole[8192:],
    ],
    ids=["words", "half", "a page"],
)
def test_a_damaged_database_is_refused_and_left_untouched(tmp_path, damage):
    Database.open(tmp_path).close()
    file = tmp_path / NAME
    file.write_bytes(damage(file.read_bytes()))
    before = file.read_bytes()
    with pytest.raises(DatabaseError, match=r"damaged.*backup"):
        Database.open(tmp_path)
    assert file.read_bytes() == before


def test_an_empty_file_is_no_database(tmp_path):
    (tmp_path / NAME).touch()
    with pytest.raises(DatabaseError, match="is empty: put a backup"):
        Database.open(tmp_path)


def test_the_database_of_another_program_is_refused(tmp_path):
    with closing(sqlite3.connect(tmp_path / NAME)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(DatabaseError, match="another program"):
        Database.open(tmp_path)


def test_a_missing_database_beside_images_is_no_fresh_start(tmp_path):
    archive = FolderArchive(tmp_path)
    (archive.incoming / "x").write_bytes(b"x")
    archive.keep(archive.incoming / "x", uid="1.2.3", digest="ab" * 32)
    with pytest.raises(DatabaseError, match=r"missing, but .*instances holds images"):
        Database.open(tmp_path)
    assert not (tmp_path / NAME).exists()


def test_empty_folders_are_a_fresh_start(tmp_path):
    FolderArchive(tmp_path)
    Database.open(tmp_path).close()


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseError, match=r"file/data: .*data_dir"):
        Database.open(tmp_path / "file" / "data")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_locked_database_says_so(database, tmp_path):
    impatient = Database.open(tmp_path / "data", patience=0.0)
    with (
        database.write(),
        pytest.raises(DatabaseError, match="locked: another process"),
        impatient.write(),
    ):
        pass
    with impatient.write():
        pass
    impatient.close()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_opening_a_locked_database_says_so(database, tmp_path):
    with database.write(), pytest.raises(DatabaseError, match="locked: another process"):
        Database.open(tmp_path / "data", patience=0.0)


def test_many_may_read_while_one_writes(hand):
    with hand.database.write() as tx:
        tx.execute(schema.studies.delete())
        with hand.database.read() as reading_tx:
            assert reading_tx.execute(select(schema.studies)).all() == []


def test_threads_that_write_at_once_take_turns(hand):
    uids = range(4, 16)
    threads = [threading.Thread(target=hand.receive, args=(arrival(number),)) for number in uids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with hand.database.read() as tx:
        assert len(tx.execute(select(schema.instances)).all()) == len(uids)


def test_two_processes_that_begin_at_once_share_one_database(tmp_path):
    """The other one is faster: its file comes in between."""
    faster = tmp_path / "faster"
    Database.open(faster).close()
    whole = (faster / NAME).read_bytes()
    file = tmp_path / NAME

    def meanwhile(_new):
        file.write_bytes(whole)

    creation.create(file, meanwhile)
    assert file.read_bytes() == whole
    Database.open(tmp_path).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faster", NAME]


@pytest.mark.parametrize(
    ("sentence", "kind", "mend"),
    [
        ("database or disk is full", Full, "make room"),
        ("attempt to write a readonly database", DatabaseError, "write permission"),
        ("database disk image is malformed", DatabaseError, "put a backup"),
        ("unable to open database file", DatabaseError, "permissions"),
        ("disk I/O error", DatabaseError, "the disk fails"),
        ("something new", DatabaseError, "secondread check"),
    ],
)
def test_every_failure_names_the_file_and_the_mend(tmp_path, sentence, kind, mend):
    with pytest.raises(kind, match=mend) as caught, translated(tmp_path / NAME):
        raise OperationalError("SELECT", ["secret"], sqlite3.OperationalError(sentence))
    assert str(tmp_path / NAME) in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_integrity_names_a_row_whose_partner_is_missing(hand):
    hand.receive(arrival())
    with closing(sqlite3.connect(hand.database.backend.file)) as connection:
        connection.execute("DELETE FROM instances")
        connection.commit()
    assert "a row of jobs names a row of instances that is missing" in hand.database.integrity()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("index", ["kept", "lost"])
def test_what_was_committed_survives_a_kill(hand, tmp_path, index):
    """A killed process leaves its log beside the file; the log's index is made anew."""
    hand.receive(arrival())
    killed = tmp_path / "killed"
    killed.mkdir()
    for suffix in ("", "-wal", *(["-shm"] if index == "kept" else [])):
        shutil.copy(f"{hand.database.backend.file}{suffix}", killed)
    again = Database.open(killed)
    with again.read() as tx:
        assert tx.execute(select(schema.studies.c.study_uid)).scalars().all() == [STUDY]
    again.close()


def test_more_threads_than_a_pool_has_places_all_wait_for_the_lock(hand):
    started = threading.Barrier(31)
    uids = range(4, 34)

    def receive(number):
        started.wait()
        hand.receive(arrival(number))

    threads = [threading.Thread(target=receive, args=(number,)) for number in uids]
    for thread in threads:
        thread.start()
    with hand.database.write():
        started.wait()
    for thread in threads:
        thread.join()
    with hand.database.read() as tx:
        assert len(tx.execute(select(schema.instances)).all()) == len(uids)


def test_what_is_opened_for_reading_cannot_be_changed(tmp_path):
    Database.open(tmp_path).close()
    looked_at = Database.open_for_reading(tmp_path)
    with looked_at.read() as tx:
        assert tx.execute(select(schema.studies)).all() == []
    with pytest.raises(DatabaseError, match="readonly"), looked_at.write() as tx:
        tx.execute(delete(schema.studies))
    looked_at.close()
