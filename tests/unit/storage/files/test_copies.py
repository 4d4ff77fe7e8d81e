"""Copies of files: whole or not there, those used last, never one that is in use."""

import os
import time

import pytest

from storage.files import local
from storage.files.copies import IN_NEED_SECONDS, IN_USE_SECONDS, UNUSED_SECONDS, LocalCopies

ROOM = 1000


@pytest.fixture
def copies(tmp_path):
    return LocalCopies(tmp_path, most_bytes=ROOM)


def add(copies, name, *, size=100, unused_for=0.0):
    path = copies.add(name, lambda file: file.write_bytes(bytes(size)))
    used = time.time() - unused_for
    os.utime(path, (used, used))


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_copy_is_found_and_in_use_then(copies, tmp_path):
    add(copies, "results/a/1", unused_for=5000)
    assert copies.find("results/a/1").read_bytes() == bytes(100)
    assert time.time() - (tmp_path / "results/a/1").stat().st_mtime < 60
    assert copies.find("results/a/2") is None


def test_what_breaks_off_is_not_there(copies, tmp_path):
    def broken(file):
        file.write_bytes(b"half")
        raise OSError("cut off")

    with pytest.raises(OSError, match="cut off"):
        copies.add("results/a/1", broken)
    assert names(tmp_path) == []


def test_the_longest_unused_go_where_there_is_no_room(copies, tmp_path):
    many = LocalCopies(tmp_path, most_bytes=100 * ROOM)
    for number in range(12):
        add(many, f"results/a/{number:02}", unused_for=IN_USE_SECONDS + 100 + number)
    copies.evict()
    assert names(tmp_path) == [f"results/a/{number:02}" for number in range(9)]


def test_what_is_in_use_stays_however_little_room_there_is(copies, tmp_path):
    for number in range(12):
        add(copies, f"results/a/{number:02}", unused_for=IN_USE_SECONDS - 100)
    copies.evict()
    assert len(names(tmp_path)) == 12


def test_copies_make_room_on_a_disk_that_is_nearly_full(tmp_path, monkeypatch):
    copies = LocalCopies(tmp_path, most_bytes=100 * ROOM, free_bytes=ROOM)
    for number in range(12):
        add(copies, f"results/a/{number:02}", unused_for=IN_NEED_SECONDS + 100 - number)
    add(copies, "results/a/now")
    monkeypatch.setattr(local, "free_bytes", lambda _: ROOM - 250)
    copies.evict()
    assert names(tmp_path) == [*[f"results/a/{number:02}" for number in range(3, 12)], "results/a/now"]
    monkeypatch.setattr(local, "free_bytes", lambda _: 0)
    copies.evict()
    assert names(tmp_path) == ["results/a/now"]


def test_a_copy_that_is_asked_for_meanwhile_stays(tmp_path, monkeypatch):
    copies = LocalCopies(tmp_path, most_bytes=ROOM)
    add(copies, "results/a/1", unused_for=UNUSED_SECONDS + 100)

    def ordered(entries):
        assert copies.find("results/a/1")
        return list(entries)

    monkeypatch.setattr("storage.files.copies.sorted", ordered, raising=False)
    copies.evict()
    assert names(tmp_path) == ["results/a/1"]


def test_what_nobody_uses_goes_although_there_is_room(copies, tmp_path):
    add(copies, "results/a/1", unused_for=UNUSED_SECONDS + 100)
    add(copies, "results/a/2", unused_for=UNUSED_SECONDS - 100)
    copies.evict()
    assert names(tmp_path) == ["results/a/2"]


def test_new_copies_make_room_by_themselves(copies, tmp_path):
    for number in range(30):
        add(copies, f"results/a/{number:02}", unused_for=IN_USE_SECONDS + 1000 - number)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= ROOM + 200


def test_copies_are_for_their_user_alone(copies, tmp_path):
    add(copies, "results/a/1")
    assert (tmp_path / "results/a/1").stat().st_mode & 0o077 == 0
