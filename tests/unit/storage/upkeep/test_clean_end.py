"""A start may trust the files of an end in order, and of no other."""

import shutil

from storage.database.engine import Database
from storage.database.sqlite.backend import NAME
from storage.upkeep import clean_end


def ended(data_dir):
    Database.open(data_dir).close()
    clean_end.note(data_dir)


def test_an_end_in_order_is_believed_once(tmp_path):
    ended(tmp_path)
    assert clean_end.take(tmp_path)
    assert not clean_end.take(tmp_path)


def test_a_database_that_was_put_back_is_not_that_of_the_end(tmp_path):
    ended(tmp_path)
    shutil.copy2(tmp_path / NAME, tmp_path / "copy")
    (tmp_path / "copy").replace(tmp_path / NAME)
    assert not clean_end.take(tmp_path)


def test_a_database_that_is_still_open_has_not_ended(tmp_path):
    database = Database.open(tmp_path)
    with database.write():
        clean_end.note(tmp_path)
    database.close()
    assert not clean_end.take(tmp_path)


def test_a_new_node_has_no_end_before_it(tmp_path):
    clean_end.note(tmp_path)
    assert not clean_end.take(tmp_path)


def test_a_full_disk_takes_no_mark_and_ends_the_node_in_order_all_the_same(tmp_path, monkeypatch):
    def no_room(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.write_text", no_room)
        ended(tmp_path)
    assert not clean_end.take(tmp_path)
