"""What the node keeps is for its user alone, whoever made the directory."""

import os

import pytest

from storage import privacy
from storage.database.engine import Database
from storage.database.sqlite.backend import NAME
from storage.files.folder import FolderArchive

pytestmark = pytest.mark.usefixtures("loose_umask")


def open_to_others(path):
    return bool(path.stat().st_mode & privacy.ACCESS_OF_OTHERS)


def test_tree_that_others_could_look_into_is_closed(tmp_path):
    (folder := tmp_path / "instances").mkdir()
    restored = [tmp_path / NAME, tmp_path / "secondread-before-0001.sqlite", tmp_path / f"{NAME}-wal"]
    for path in restored:
        path.write_bytes(b"x")
    for path in (tmp_path, folder):
        path.chmod(0o755)
    assert all(open_to_others(item) for item in (tmp_path, folder, *restored))
    FolderArchive(tmp_path)
    assert not any(open_to_others(item) for item in (tmp_path, folder, *restored))


def test_what_sqlite_makes_beside_a_closed_database_is_closed_too(tmp_path):
    Database.open(tmp_path).close()
    FolderArchive(tmp_path)
    database = Database.open(tmp_path)
    with database.write():
        assert not any(open_to_others(path) for path in tmp_path.glob(f"{NAME}*"))
    database.close()


def test_what_the_node_has_not_made_keeps_its_mode(tmp_path):
    (notes := tmp_path / "notes.txt").write_text("the administrator's")
    FolderArchive(tmp_path)
    assert open_to_others(notes)


def test_link_is_not_followed(tmp_path):
    (elsewhere := tmp_path / "elsewhere").mkdir()
    (data_dir := tmp_path / "data").mkdir()
    (data_dir / "unclaimed").symlink_to(elsewhere)
    FolderArchive(data_dir)
    assert open_to_others(elsewhere)


def test_directory_of_another_user_is_left_and_told(tmp_path, monkeypatch):
    tmp_path.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    FolderArchive(tmp_path)
    assert open_to_others(tmp_path)
    assert privacy.foreign(tmp_path)


def test_directory_of_this_user_is_nobody_elses(tmp_path):
    tmp_path.chmod(0o755)
    assert not privacy.foreign(tmp_path)
