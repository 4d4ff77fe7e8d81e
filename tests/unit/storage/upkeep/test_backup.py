"""A backup is written beside a running node, and put back whole."""

import tarfile

import pytest

from storage.database import schema, upgrade
from storage.database.engine import Database
from storage.database.sqlite.backend import NAME
from storage.errors import DatabaseError
from storage.upkeep import backup, server_backup
from tests.support import postgresql
from tests.unit.storage.making import STUDY, Hand, arrival
from tests.unit.storage.older_program import scripts_until


@pytest.fixture
def stored_study(hand, tmp_path):
    """A data directory with two images, one of whose files is gone; returns the path of a backup of it."""
    data_dir = tmp_path / "data"
    for number in range(2):
        hand.receive(arrival(number))
    (data_dir / "instances").mkdir(exist_ok=True)
    (data_dir / "instances" / "0.dcm").write_bytes(b"image")
    (data_dir / "console.key").write_bytes(b"key")
    held = backup.write(data_dir, tmp_path / "backup.tar")
    assert (held.files, held.missing) == (1, 1)
    assert not list(data_dir.glob("backup-*"))
    return tmp_path / "backup.tar"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_was_backed_up_comes_back(stored_study, tmp_path):
    assert stored_study.stat().st_mode & 0o077 == 0
    assert backup.put_back(stored_study, tmp_path / "new") == 1  # as `backup` has counted
    assert (tmp_path / "new" / "instances" / "0.dcm").read_bytes() == b"image"
    assert (tmp_path / "new" / "console.key").read_bytes() == b"key"
    opened = Database.open(tmp_path / "new")
    assert opened.integrity() == "ok"
    with opened.read() as tx:
        (count,) = tx.exec_driver_sql("SELECT count(*) FROM instances WHERE study_uid = ?", (STUDY,)).one()
    opened.close()
    assert count == 2


@pytest.fixture
def url():
    """An empty database of a server."""
    with postgresql.shared().database("put_back") as empty:
        yield empty


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_what_a_server_keeps_is_backed_up_and_comes_back(hand, url, tmp_path):
    data_dir = tmp_path / "data"
    (data_dir / "instances").mkdir(parents=True)
    (data_dir / "instances" / "0.dcm").write_bytes(b"image")
    for number in range(2):
        hand.receive(arrival(number))
    held = server_backup.write(data_dir, postgresql.shared().url("storage"), tmp_path / "backup.tar")
    assert (held.files, held.missing) == (1, 1)
    assert server_backup.put_back(tmp_path / "backup.tar", data_dir, url) == 1
    assert sorted(path.name for path in data_dir.iterdir()) == ["instances"]
    opened = Database.open(data_dir, url=url)
    with hand.database.read() as before, opened.read() as after:
        for table in schema.metadata.sorted_tables:
            query = table.select().order_by(*table.primary_key)
            assert after.execute(query).all() == before.execute(query).all()
    Hand(opened).receive(arrival(2))  # its job has a number of its own
    opened.close()
    with pytest.raises(DatabaseError, match="there are rows in"):
        server_backup.put_back(tmp_path / "backup.tar", data_dir, url)


def test_copy_of_an_older_backup_takes_the_place_of_no_other(url, tmp_path):
    older, data_dir = tmp_path / "older", tmp_path / "data"
    Database.open(older, scripts=scripts_until(tmp_path, "0002")).close()
    with tarfile.open(tmp_path / "backup.tar", "w") as bundle:
        bundle.add(older / NAME, NAME)
    data_dir.mkdir()
    copy = data_dir / f"secondread-before-{upgrade.revisions()[-1]}.sqlite"
    copy.write_bytes(b"of the database that was here")
    server_backup.put_back(tmp_path / "backup.tar", data_dir, url)
    assert copy.read_bytes() == b"of the database that was here"
    assert list(data_dir.iterdir()) == [copy]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_database_is_never_replaced(stored_study, tmp_path):
    with pytest.raises(DatabaseError, match="already"):
        backup.put_back(stored_study, tmp_path / "data")


@pytest.mark.parametrize("name", ["../evil", "instances/../../evil", "/etc/evil", "evil", "instances"])
def test_what_is_no_backup_of_ours_is_refused(tmp_path, name):
    (tmp_path / "evil").write_bytes(b"evil")
    with tarfile.open(tmp_path / "bad.tar", "w") as bundle:
        bundle.add(tmp_path / "evil", name)
    with pytest.raises(DatabaseError):
        backup.put_back(tmp_path / "bad.tar", tmp_path / "new")
    assert not (tmp_path / "new" / NAME).exists()


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n of a breast" * 100])
def test_a_file_of_another_kind_is_refused_in_a_sentence(tmp_path, content):
    (tmp_path / "bad.tar").write_bytes(content)
    with pytest.raises(
        DatabaseError, match=r"bad\.tar is no backup, or is cut off: name a file that `backup` has written$"
    ):
        backup.put_back(tmp_path / "bad.tar", tmp_path / "new")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_backup_that_is_cut_off_is_refused(stored_study, tmp_path):
    (tmp_path / "cut.tar").write_bytes(stored_study.read_bytes()[:700])
    with pytest.raises(DatabaseError, match="cut off"):
        backup.put_back(tmp_path / "cut.tar", tmp_path / "new")
