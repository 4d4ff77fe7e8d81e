"""What only a server can suffer: it is stopped, its connections are cut, other nodes reach it."""

import contextlib
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from unittest.mock import Mock

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from storage.database import inspection, schema, upgrade
from storage.database.engine import Database
from storage.database.postgresql import backend, connection, guard
from storage.database.postgresql.errors import translated
from storage.database.postgresql.guard import Company
from storage.errors import Conflict, DatabaseError, Full, PlaceTaken
from storage.queue import jobs
from tests.support import postgresql
from tests.unit.storage.database.test_engine import NEWEST, NEXT, newer_scripts
from tests.unit.storage.making import START, STUDY, Hand, arrival

CUT = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname ="
USER = {"name": "a", "role": "admin", "password_hash": "", "created_at": START, "failures": 0}


@pytest.fixture
def empty_url():
    """A database of this test's own, without tables."""
    with postgresql.shared().database("empty") as empty:
        yield empty


@pytest.fixture
def url():
    """A database of this test's own, without rows."""
    with postgresql.shared().database("own", template=postgresql.template()) as own:
        yield own


@pytest.fixture
def database(url, tmp_path):
    with contextlib.closing(Database.open(tmp_path, url=url)) as opened:
        yield opened


def test_a_database_without_an_encoding_holds_text(tmp_path):
    url = postgresql.shared().create(
        "bare", template="template0 ENCODING SQL_ASCII LOCALE_PROVIDER libc LOCALE 'C'"
    )
    with contextlib.closing(Database.open(tmp_path, url=url)) as opened:
        with opened.write() as tx:
            tx.execute(schema.users.insert(), {**USER, "name": "Ångström"})
        with opened.read() as tx:
            assert tx.execute(select(schema.users.c.name)).scalars().all() == ["Ångström"]
    postgresql.shared().execute("DROP DATABASE bare WITH (FORCE)")


def cut(url):
    """End every session of the database, as a restart of the server does."""
    name = connection.parse(url).database
    postgresql.shared().execute(f"{CUT} '{name}'")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql+psycopg://me:secret@db/rows", "password file"),
        ("postgresql+psycopg://me@db/rows?password=secret", "password file"),
        ("postgresql://me@db/rows", r"must begin with postgresql\+psycopg://"),
        ("sqlite:///rows", r"must begin with postgresql\+psycopg://"),
        ("postgresql+psycopg://me@db", "names no database"),
        ("secret", "no url"),
    ],
)
def test_url_that_cannot_be_used_is_refused_and_not_repeated(url, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        connection.parse(url)
    assert "secret" not in str(caught.value)


def test_server_that_does_not_answer_is_named(tmp_path):
    url = f"postgresql+psycopg://me@/rows?host={tmp_path}"
    with pytest.raises(DatabaseError, match=r"rows at .*: it cannot be reached: start the server"):
        Database.open(tmp_path, url=url)


def test_database_that_does_not_exist_is_named(tmp_path):
    url = postgresql.shared().url("missing")
    with pytest.raises(DatabaseError, match=r"database \"missing\" does not exist: make it: createdb"):
        Database.open(tmp_path, url=url)


def test_missing_driver_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(DatabaseError, match=r"pip install 'secondread\[postgresql\]'"):
        Database.open(tmp_path, url="postgresql+psycopg://me@db/rows")


@pytest.mark.parametrize(
    ("state", "kind", "mend"),
    [
        ("53100", Full, "make room"),
        ("53300", DatabaseError, "raise its limit"),
        ("57P01", DatabaseError, "start the server"),
        ("08006", DatabaseError, "start the server"),
        ("42501", DatabaseError, "GRANT"),
        ("40P01", DatabaseError, "tried again"),
        ("58030", DatabaseError, "disk fails"),
        ("XX001", DatabaseError, "damaged"),
        ("42601", DatabaseError, "log of the server"),
    ],
)
def test_every_failure_names_the_database_and_the_mend(state, kind, mend):
    error = Mock(spec=Exception, sqlstate=state, diag=Mock(message_primary="it fails"))
    with pytest.raises(kind, match=mend) as caught, translated("rows at db"):
        raise OperationalError("SELECT", ["secret"], error)
    assert "rows at db" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_empty_database_beside_images_is_no_fresh_start(empty_url, tmp_path):
    (tmp_path / "instances" / "00").mkdir(parents=True)
    (tmp_path / "instances" / "00" / "image.dcm").write_bytes(b"")
    with pytest.raises(DatabaseError, match=r"is empty, but .*instances holds images"):
        Database.open(tmp_path, url=empty_url)
    with pytest.raises(DatabaseError, match=r"is empty, but .*instances holds images"):
        inspection.inspect(tmp_path, url=empty_url)


def test_database_of_another_program_is_refused(empty_url, tmp_path):
    postgresql.shared().execute("CREATE TABLE rows (x int)", database=connection.parse(empty_url).database)
    with pytest.raises(DatabaseError, match="another program"):
        Database.open(tmp_path, url=empty_url)


def test_look_makes_nothing(empty_url, tmp_path):
    assert inspection.inspect(tmp_path, url=empty_url) is None
    Database.open(tmp_path, url=empty_url).close()
    inspected = inspection.inspect(tmp_path, url=empty_url)
    assert inspected.current
    assert inspected.revision == NEWEST
    assert "@" not in inspected.name


def test_old_database_is_migrated_and_a_newer_refused(database, url, tmp_path):
    Hand(database).receive(arrival())
    newer = Database.open(tmp_path, url=url, scripts=newer_scripts(tmp_path))
    with newer.read() as tx:
        assert tx.exec_driver_sql("SELECT study_uid, note FROM studies").all() == [(STUDY, None)]
    newer.close()
    for look in (inspection.inspect, Database.open):
        with pytest.raises(DatabaseError, match=rf"schema {NEXT}, newer than the {NEWEST} .* install"):
            look(tmp_path, url=url)


def test_migration_that_fails_changes_nothing(database, url, tmp_path):
    scripts = newer_scripts(tmp_path, more="op.execute('SELECT * FROM missing')")
    with pytest.raises(DatabaseError, match='relation "missing" does not exist'):
        Database.open(tmp_path, url=url, scripts=scripts)
    assert inspection.inspect(tmp_path, url=url).current


def test_two_that_open_an_empty_database_at_once_make_it_once(empty_url, tmp_path):
    opened = []
    threads = [
        threading.Thread(target=lambda: opened.append(Database.open(tmp_path, url=empty_url)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 3
    for database in opened:
        database.close()


def test_commit_waits_for_the_disk_whatever_the_server_is_set_to(url, tmp_path):
    name = connection.parse(url).database
    postgresql.shared().execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    with contextlib.closing(Database.open(tmp_path, url=url)) as opened, opened.write() as tx:
        assert tx.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"


def test_waiting_for_another_writer_ends(database, url, tmp_path):
    impatient = Database.open(tmp_path, url=url, patience=0.0)
    with database.write(), pytest.raises(DatabaseError, match="locked: another process"), impatient.write():
        pass
    with impatient.write():
        pass
    impatient.close()


def test_time_to_stop_ends_the_wait(database, url, tmp_path):
    hurried = Database.open(tmp_path, url=url)
    hurried.hurry(0)
    with database.write(), pytest.raises(DatabaseError, match="locked: another process"), hurried.write():
        pass
    hurried.close()


def test_what_is_opened_for_reading_cannot_be_changed(database, url, tmp_path):
    looked_at = Database.open_for_reading(tmp_path, url=url)
    with looked_at.read() as tx:
        assert tx.execute(select(schema.studies)).all() == []
    with pytest.raises(DatabaseError, match="readonly"), looked_at.write() as tx:
        tx.execute(schema.studies.delete())
    looked_at.close()


def test_restart_of_the_server_between_two_transactions_is_not_noticed(database, url):
    Hand(database).receive(arrival(0))
    cut(url)
    Hand(database).receive(arrival(1))
    cut(url)
    with database.read() as tx:
        assert len(tx.execute(select(schema.instances)).all()) == 2


def test_transaction_that_is_cut_keeps_nothing_and_says_so(database, url):
    insert = schema.users.insert().values(USER)
    with pytest.raises(DatabaseError, match="it cannot be reached"), database.write() as tx:
        assert (tx.execute(insert).rowcount, cut(url)) == (1, None)
    with database.read() as tx:
        assert tx.execute(select(schema.users)).all() == []


def test_value_that_no_text_can_hold_is_refused(database):
    with pytest.raises(Conflict, match="NUL"), database.write() as tx:
        tx.execute(schema.users.insert().values(USER | {"name": "a\0b"}))


def test_one_node_alone_works_with_a_database(url, tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "_TAKE", guard._TAKE.replace("5000", "500"))
    with contextlib.closing(Database.open(tmp_path, url=url, company=Company.NOBODY)):
        Database.open(tmp_path, url=url).close()  # its worker and its console
        with pytest.raises(DatabaseError, match="another node works with the database"):
            Database.open(tmp_path, url=url, company=Company.NOBODY)
    Database.open(tmp_path, url=url, company=Company.NOBODY).close()


def test_node_takes_its_lock_again_unless_another_was_faster(url, tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "_TAKE", guard._TAKE.replace("5000", "1000"))
    with contextlib.closing(Database.open(tmp_path, url=url, company=Company.NOBODY)) as node:
        cut(url)
        node.check_place()
        cut(url)
        with (
            contextlib.closing(Database.open(tmp_path, url=url, company=Company.NOBODY)),
            pytest.raises(PlaceTaken, match="another node works with the database"),
        ):
            node.check_place()
        node.check_place()


def test_node_whose_session_the_server_holds_to_be_alive_waits_for_its_end(url, tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "_TAKE", guard._TAKE.replace("5000", "500"))
    with contextlib.closing(Database.open(tmp_path, url=url, company=Company.NOBODY)) as node:
        session = node.server.guard._session.dbapi_connection
        with monkeypatch.context() as frozen:
            frozen.setattr(guard.Guard, "_alive", lambda *_: False)
            frozen.setattr(session, "close", lambda: None)
            with pytest.raises(DatabaseError, match="of an earlier session of this process yet") as raised:
                node.check_place()
        assert raised.type is DatabaseError
        session.close()
        node.check_place()


def test_roles_meet_each_other_and_no_node_alone(url, tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "_TAKE", guard._TAKE.replace("5000", "500"))
    with (
        contextlib.closing(Database.open(tmp_path, url=url, company=Company.ROLES)),
        contextlib.closing(Database.open(tmp_path, url=url, company=Company.ROLES)),
        pytest.raises(DatabaseError, match="another node works with the database"),
    ):
        Database.open(tmp_path, url=url, company=Company.NOBODY)
    with (
        contextlib.closing(Database.open(tmp_path, url=url, company=Company.NOBODY)),
        pytest.raises(DatabaseError, match='a node with \\[node\\] role = "all" works with the database'),
    ):
        Database.open(tmp_path, url=url, company=Company.ROLES)


def test_role_migrates_alone_and_says_so_only_where_the_tables_are_older(url, tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "_TAKE", guard._TAKE.replace("5000", "100"))
    scripts = newer_scripts(tmp_path)
    with contextlib.closing(Database.open(tmp_path, url=url, company=Company.ROLES)) as role:
        with pytest.raises(DatabaseError, match="its tables are older than this program"):
            Database.open(tmp_path, url=url, scripts=scripts, company=Company.ROLES)
        # it has waited for the lock of one that migrated, and now does its work
        backend._migrate_alone(role.server, tmp_path, upgrade.SCRIPTS)
    Database.open(tmp_path, url=url, scripts=scripts, company=Company.ROLES).close()
    with pytest.raises(DatabaseError, match=r"it was left as it is$"):
        Database.open(tmp_path, url=url, company=Company.ROLES)
    postgresql.shared().execute("UPDATE alembic_version SET version_num = 'moved-1'", database="own")
    with pytest.raises(DatabaseError, match=r"new place in \[database\] url$"):
        Database.open(tmp_path, url=url, company=Company.ROLES)


def test_role_waits_for_one_that_makes_the_tables_however_long_that_takes(tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "_TAKE", guard._TAKE.replace("5000", "100"))
    waits, started = threading.Semaphore(0), threading.Event()
    is_let_go = guard.Guard._is_let_go

    def time_is_over(self):
        waits.release()
        return is_let_go(self)

    def fill(opened, *words):
        if not started.is_set():
            started.set()
            assert all(waits.acquire(timeout=20) for _ in range(3)), "the other one has not waited"
        migrate(opened, *words)

    migrate = backend._migrate
    monkeypatch.setattr(guard.Guard, "_is_let_go", time_is_over)
    monkeypatch.setattr(backend, "_migrate", fill)
    with postgresql.shared().database("empty") as url, ThreadPoolExecutor(1) as threads:
        first = threads.submit(Database.open, tmp_path, url=url, company=Company.ROLES)
        assert started.wait(60)
        Database.open(tmp_path, url=url, company=Company.ROLES).close()
        first.result(60).close()


def test_duty_is_one_session_s_until_it_ends(url, database):
    first, second = database.server.duty(), database.server.duty()
    assert (first.take(), first.take(), first.held()) == (True, True, True)
    assert (second.take(), second.held()) == (False, False)
    cut(url)
    assert second.take()
    assert (first.held(), first.take(), second.held()) == (False, False, True)
    second.release()
    assert first.take()
    first.release()


def test_claim_passes_over_what_another_claims(database):
    hand = Hand(database)
    hand.receive_study(images=2)
    with database.write_beside_others() as first, database.write_beside_others() as second, database.write():
        claims = [
            jobs.claim(tx, owner=f"worker-{number}", now=database.now(), lease=timedelta(minutes=1))
            for number, tx in enumerate((first, second))
        ]
    assert len({claim.id for claim in claims}) == 2


def test_who_listens_hears_what_is_called(database):
    stopping, channels = threading.Event(), []

    def hear(channel):
        channels.append(channel)
        if len(channels) == 1:  # as if it had been called before; the call that follows is a real one
            database.server.notify("a_channel")
        else:
            stopping.set()

    database.server.listen(["a_channel"], hear, stopping)
    assert channels == ["a_channel"] * 2


def test_file_of_sqlite_is_for_one_node_alone(tmp_path):
    with (
        contextlib.closing(Database.open(tmp_path)) as database,
        pytest.raises(DatabaseError, match="set \\[database\\] url to a PostgreSQL database"),
    ):
        _ = database.server
