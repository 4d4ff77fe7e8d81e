"""A backup takes the place of a database in use: whole, whenever it is killed, and no image is lost."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection

from storage.database.engine import Database
from storage.database.sqlite.backend import NAME
from storage.errors import DatabaseError
from storage.files.archive import UNCLAIMED
from storage.upkeep import backup, restoring, server_backup, to_come
from tests.support import postgresql
from tests.unit.storage.making import Hand, arrival

PLENTY = 1 << 60
FILE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""What a server's rows have nothing to do with."""


class KilledError(BaseException):
    """Stands for the end of the process: nothing below it runs."""


@pytest.fixture
def url(database):
    """Where a server has the rows; None: a file has them."""
    return None if database.backend.name.endswith(NAME) else postgresql.shared().url("storage")


@pytest.fixture
def data_dir(hand, url, tmp_path):
    """Two images, of which the backup beside it knows the first."""
    folder = tmp_path / "data"
    (folder / "instances").mkdir(parents=True, exist_ok=True)
    for number in range(2):
        hand.receive(arrival(number))
        (folder / "instances" / f"{number}.dcm").write_bytes(b"image %d" % number)
        if number:
            continue
        if url is None:
            backup.write(folder, tmp_path / "backup.tar")
        else:
            server_backup.write(folder, url, tmp_path / "backup.tar")
    return folder


def take_over(data_dir, url):
    return restoring.take_over(data_dir) if url is None else server_backup.take_over(data_dir, url)


def rows(file):
    with closing(sqlite3.connect(file)) as database:
        return [name for (name,) in database.execute("SELECT file FROM instances ORDER BY file")]


def as_after_a_restore(data_dir, url, before):
    """Whether all is in its place, and nothing is lost."""
    opened = Database.open(data_dir, url=url, whole=True)
    with opened.read() as tx:
        assert tx.exec_driver_sql("SELECT file FROM instances").scalars().all() == ["instances/0.dcm"]
    assert opened.integrity() == "ok"
    Hand(opened).receive(arrival(2))  # its job has a number of its own
    opened.close()
    assert rows(before) == ["instances/0.dcm", "instances/1.dcm"]
    assert (data_dir / "instances" / "0.dcm").read_bytes() == b"image 0"
    assert (data_dir / UNCLAIMED / "1.dcm").read_bytes() == b"image 1"
    assert to_come.read(data_dir) == {"1.dcm": arrival(1).source_ae}
    assert not restoring.staged(data_dir)
    expected = {"instances", UNCLAIMED, to_come.FILE, before.name}
    assert {path.name for path in data_dir.iterdir() if not path.name.startswith(NAME)} == expected
    return True


def test_start_in_the_middle_of_a_command_leaves_what_it_has_written(data_dir, url):
    (data_dir / restoring.UNFINISHED).mkdir()
    assert take_over(data_dir, url) is None
    assert (data_dir / restoring.UNFINISHED).is_dir()


@FILE
def test_log_of_a_database_that_is_gone_does_not_reach_the_one_put_back(tmp_path, data_dir):
    data_dir = tmp_path / "empty"
    data_dir.mkdir()
    for suffix in ("-wal", "-shm"):
        (data_dir / f"{NAME}{suffix}").write_bytes(b"of another")
    backup.put_back(tmp_path / "backup.tar", data_dir)
    assert not list(data_dir.glob(f"{NAME}-*"))


def test_the_database_stays_beside_and_images_since_are_to_come_again(data_dir, url, tmp_path):
    assert restoring.stage(tmp_path / "backup.tar", data_dir, reserve=0) == 1
    (data_dir / "instances" / "0.dcm").unlink()  # retention has removed it meanwhile
    change = take_over(data_dir, url)
    assert change.images == 1
    assert as_after_a_restore(data_dir, url, change.before)
    assert take_over(data_dir, url) is None


def test_a_kill_at_any_step_leaves_a_take_over_that_the_next_start_ends(data_dir, url, tmp_path, monkeypatch):
    restoring.stage(tmp_path / "backup.tar", data_dir, reserve=0)
    steps, kills = 0, 0

    def limited(step):
        def call(*arguments, **more):
            nonlocal steps
            if steps == 0:
                raise KilledError
            steps -= 1
            return step(*arguments, **more)

        return call

    with monkeypatch.context() as patch:
        steps_of = (
            (Path, "replace"),
            (Path, "rename"),
            (Path, "unlink"),
            (os, "fsync"),
            (Connection, "commit"),
        )
        for owner, name in steps_of:
            patch.setattr(owner, name, limited(getattr(owner, name)))
        while restoring.staged(data_dir):
            # one step further each time, from wherever the last kill has left it
            steps = kills
            try:
                take_over(data_dir, url)
            except KilledError:
                kills += 1
    assert kills > 5
    (before,) = data_dir.glob("secondread-before-restore-*.sqlite")
    assert as_after_a_restore(data_dir, url, before)


@FILE
def test_a_database_that_cannot_be_read_is_kept_as_it_is(data_dir, tmp_path):
    restoring.stage(tmp_path / "backup.tar", data_dir, reserve=0)
    for file in data_dir.glob(f"{NAME}*"):
        file.unlink()
    (data_dir / NAME).write_bytes(b"no database" * 100)
    change = restoring.take_over(data_dir)
    assert change.before.read_bytes() == b"no database" * 100
    assert (change.images, rows(data_dir / NAME)) == (0, ["instances/0.dcm"])
    assert (data_dir / "instances" / "1.dcm").exists(), "the start finds it, and moves it to the unclaimed"


@FILE
@pytest.mark.parametrize(
    ("content", "reserve", "words"), [(None, PLENTY, "must be free"), (b"x", 0, "no backup")]
)
def test_what_cannot_be_staged_changes_nothing(data_dir, tmp_path, content, reserve, words):
    if content is not None:
        (tmp_path / "backup.tar").write_bytes(content)
    with pytest.raises(DatabaseError, match=words):
        restoring.stage(tmp_path / "backup.tar", data_dir, reserve=reserve)
    assert not [path for path in data_dir.iterdir() if path.name.startswith("restore")]


@FILE
def test_a_backup_whose_database_is_damaged_is_not_staged(data_dir, tmp_path):
    restoring.stage(tmp_path / "backup.tar", data_dir, reserve=0)
    with pytest.raises(DatabaseError, match="waits in"):
        restoring.stage(tmp_path / "backup.tar", data_dir, reserve=0)
    restoring.take_over(data_dir)
    whole = (tmp_path / "backup.tar").read_bytes()
    begin = whole.index(b"SQLite format 3") + 4096
    (tmp_path / "bad.tar").write_bytes(whole[:begin] + b"\xff" * 4096 + whole[begin + 4096 :])
    with pytest.raises(DatabaseError):
        restoring.stage(tmp_path / "bad.tar", data_dir, reserve=0)
    assert not restoring.staged(data_dir)
