"""A node that cannot use its data directory or database says why in one sentence and changes nothing."""

import io
import json
import os
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from scp import logs, node
from scp.configuration.sections import Log, Node
from scp.configuration.settings import Settings
from storage.database.engine import Database
from storage.database.sqlite.backend import NAME
from tests.support import logging_state

pytestmark = pytest.mark.usefixtures("loose_umask")  # the node sets its own


def start(data_dir):
    """Start the node, told to stop at once; return the exit code and what it said."""
    stop = node.End()
    stop.set()
    with logging_state.preserved():
        stream = io.StringIO()
        logs.configure(Log(format="json"), stream)
        code = node.run(Settings(node=Node(data_dir=data_dir, port=0)), stop=stop)
    return code, [json.loads(line) for line in stream.getvalue().splitlines()]


def words(whole):
    return b"this is no database at all, only words" * 100


def half(whole):
    return whole[: len(whole) // 2]


def unchanged(whole):
    return b""


@pytest.mark.parametrize("damage", [words, half, unchanged])
def test_damaged_database_is_named_and_left_as_it_is(tmp_path, damage):
    Database.open(tmp_path).close()
    file = tmp_path / NAME
    file.write_bytes(damage(file.read_bytes()))
    before = file.read_bytes()
    code, (sentence,) = start(tmp_path)
    assert code == 1
    assert str(file) in sentence["reason"]
    assert "put a backup in its place" in sentence["reason"]
    assert "exception" not in sentence
    assert file.read_bytes() == before


def test_database_of_a_newer_version_is_left_as_it_is(tmp_path):
    Database.open(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / NAME)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    before = (tmp_path / NAME).read_bytes()
    code, (sentence,) = start(tmp_path)
    assert code == 1
    assert "has schema 9999, newer than" in sentence["reason"]
    assert "install the version that wrote it" in sentence["reason"]
    assert (tmp_path / NAME).read_bytes() == before


def test_missing_database_beside_images_is_no_fresh_start(tmp_path):
    (tmp_path / "instances" / "00").mkdir(parents=True)
    (tmp_path / "instances" / "00" / "image.dcm").write_bytes(b"image")
    code, (sentence,) = start(tmp_path)
    assert code == 1
    assert "is missing, but" in sentence["reason"]
    assert not (tmp_path / NAME).exists()


@contextmanager
def without_rights():
    """Be nobody for a while: root may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def closed_directory():
    """A directory that its user may read and enter, and not write to."""
    folder = Path(tempfile.mkdtemp())  # pytest's own are closed to nobody
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


@pytest.mark.parametrize("inside", ["", "data"])
def test_directory_that_cannot_be_written_is_named(closed_directory, inside):
    with without_rights():
        code, (sentence,) = start(closed_directory / inside)
    assert code == 1
    assert str(closed_directory / inside) in sentence["reason"]
    assert "check path, owner and permissions of [node] data_dir" in sentence["reason"]
    assert list(closed_directory.iterdir()) == []


def test_database_that_cannot_be_written_is_named(closed_directory):
    closed_directory.chmod(0o777)
    Database.open(closed_directory).close()
    (closed_directory / NAME).chmod(0o444)
    (closed_directory / "node.lock").touch()
    (closed_directory / "node.lock").chmod(0o666)
    closed_directory.chmod(0o555)
    with without_rights():
        code, (sentence,) = start(closed_directory)
    assert code == 1
    assert str(closed_directory / NAME) in sentence["reason"]
    assert "it cannot be" in sentence["reason"]
