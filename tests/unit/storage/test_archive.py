"""Files appear whole or not at all, under names of our own."""

import errno
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.archive import Archive, Swept, unclaimed
from storage.errors import Full, OutsideArchive

DIGEST = "0123456789abcdef" * 4


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path / "data")


def incoming(archive, content=b"pixels"):
    path = archive.incoming / "tmp123"
    path.write_bytes(content)
    return path


def test_a_kept_file_moves_to_a_name_made_of_hashes(archive):
    temporary = incoming(archive)
    name = archive.keep(temporary, uid="1.2.3", digest=DIGEST)
    assert re.fullmatch(r"instances/([0-9a-f]{2})/\1[0-9a-f]{30}-0123456789abcdef\.dcm", name)
    assert archive.path(name).read_bytes() == b"pixels"
    assert not temporary.exists()


def test_keeping_the_same_again_gives_the_same_name(archive):
    first = archive.keep(incoming(archive), uid="1.2.3", digest=DIGEST)
    assert archive.keep(incoming(archive), uid="1.2.3", digest=DIGEST) == first


@pytest.mark.parametrize("uid", ["../../etc/passwd", "/etc/passwd", "", "1.2\0.3", "a/b", "x" * 5000])
def test_no_uid_leads_out_of_the_archive(archive, uid):
    name = archive.keep(incoming(archive), uid=uid, digest=DIGEST)
    assert archive.path(name).parent.parent == archive.data_dir / "instances"


@pytest.mark.parametrize("digest", ["../../../../x", "/etc/passwd"])
def test_no_digest_leads_out_of_the_archive(archive, digest):
    temporary = incoming(archive)
    with pytest.raises((OutsideArchive, FileNotFoundError)):
        archive.keep(temporary, uid="1.2.3", digest=digest)
    assert temporary.exists()


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "instances/../../x", "secondread.sqlite", "incoming/x", ".", ""]
)
def test_a_name_outside_the_archive_is_refused(archive, name):
    with pytest.raises(OutsideArchive, match="no name of a file"):
        archive.path(name)


def test_a_link_that_leads_out_is_refused(archive, tmp_path):
    (archive.data_dir / "results" / "out").symlink_to(tmp_path)
    with pytest.raises(OutsideArchive):
        archive.path("results/out/x")


def test_bytes_are_kept_under_key_and_content(archive):
    first = archive.keep_bytes(b"one", folder="results", key="1.2.3", suffix=".dcm")
    second = archive.keep_bytes(b"two", folder="results", key="1.2.3", suffix=".dcm")
    assert first != second
    assert archive.keep_bytes(b"one", folder="results", key="1.2.3", suffix=".dcm") == first
    assert archive.path(first).read_bytes() == b"one"
    assert list(archive.incoming.iterdir()) == []


def test_bytes_are_kept_in_the_archives_folders_alone(archive):
    with pytest.raises(ValueError, match="incoming"):
        archive.keep_bytes(b"", folder="incoming", key="k", suffix="")


def test_every_file_is_synced_before_its_rename_and_its_directory_after(archive, monkeypatch):
    steps = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor):
        steps.append("directory" if Path(f"/proc/self/fd/{descriptor}").is_dir() else "file")
        fsync(descriptor)

    def renamed(source, target, **rest):
        steps.append("rename")
        replace(source, target, **rest)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    temporary = incoming(archive)
    archive.keep(temporary, uid="1.2.3", digest=DIGEST)
    # the first file of a shelf: the shelf's own name is synced as well
    assert steps == ["file", "directory", "rename", "directory"]
    steps.clear()
    archive.keep(incoming(archive), uid="1.2.3", digest=DIGEST)
    assert steps == ["file", "rename", "directory"]
    steps.clear()
    archive.keep_bytes(b"x", folder="heatmaps", key="k", suffix=".png")
    assert steps == ["file", "directory", "rename", "directory"]


def test_shelves_are_made_when_they_are_needed(archive):
    assert not any((archive.data_dir / "instances").iterdir())
    file = archive.keep(incoming(archive), uid="1.2.3", digest=DIGEST)
    (shelf,) = (archive.data_dir / "instances").iterdir()
    assert shelf == archive.path(file).parent
    assert shelf.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_has_its_own_error_and_leaves_nothing(archive, monkeypatch, number):
    def full(_descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Full, match="no room"):
        archive.keep_bytes(b"x", folder="heatmaps", key="k", suffix=".png")
    assert [path for path in archive.data_dir.rglob("*") if path.is_file()] == []


def test_another_failure_of_the_disk_stays_what_it_is(archive, monkeypatch):
    def broken(_descriptor):
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="I/O error"):
        archive.keep(incoming(archive), uid="1", digest=DIGEST)


def test_removing_what_is_gone_is_fine(archive):
    name = archive.keep(incoming(archive), uid="1.2.3", digest=DIGEST)
    archive.remove(name)
    archive.remove(name)
    assert not archive.path(name).exists()


def test_what_interrupted_receptions_left_is_cleared(archive):
    incoming(archive)
    assert archive.clear_incoming() == 1
    assert list(archive.incoming.iterdir()) == []


def swept(archive, *, named=(), last_known=None):
    return archive.sweep(archive.orphans(set(named)), last_known or {})


def test_results_that_no_row_names_are_removed(archive):
    named = archive.keep(incoming(archive), uid="1.2.3", digest=DIGEST)
    orphan = archive.keep_bytes(b"x", folder="heatmaps", key="k", suffix=".png")
    assert swept(archive, named=[named]) == Swept(removed=1, unclaimed=0)
    assert archive.path(named).exists()
    assert not archive.path(orphan).exists()


def test_instance_that_the_database_does_not_know_stays_until_it_comes_again(archive):
    late = archive.keep(incoming(archive), uid="1.2.3", digest=DIGEST)
    soon = datetime.now(UTC) + timedelta(hours=1)
    assert swept(archive, last_known={"1.2.4": soon}) == Swept(removed=0, unclaimed=1)
    assert not archive.path(late).exists()
    assert unclaimed(archive.data_dir) == 1
    assert (archive.data_dir / "unclaimed").stat().st_mode & 0o077 == 0
    archive.keep(incoming(archive), uid="1.2.3", digest=DIGEST)
    assert unclaimed(archive.data_dir) == 0


def test_header_of_an_instance_stays_until_it_comes_again_too(archive):
    header = {"data": b"x", "folder": "instances", "key": "1.2.3 header", "suffix": ".dcm"}
    archive.keep_bytes(**header)
    assert swept(archive).unclaimed == unclaimed(archive.data_dir) == 1
    archive.keep_bytes(**header)
    assert unclaimed(archive.data_dir) == 0


@pytest.mark.parametrize(
    ("learnt", "outcome"), [(+1, Swept(removed=1, unclaimed=0)), (-1, Swept(removed=0, unclaimed=1))]
)
@pytest.mark.parametrize("key", ["1.2.3", "1.2.3 header"])
def test_instance_was_replaced_or_forgotten_where_the_database_has_learnt_of_it_since(
    archive, key, learnt, outcome
):
    archive.keep_bytes(b"x", folder="instances", key=key, suffix=".dcm")
    assert swept(archive, last_known={"1.2.3": datetime.now(UTC) + timedelta(hours=learnt)}) == outcome


def test_the_tree_is_for_its_user_alone(archive):
    for folder in (archive.data_dir, archive.incoming, archive.data_dir / "instances"):
        assert folder.stat().st_mode & 0o077 == 0


def test_free_space_is_that_of_its_file_system(archive):
    assert archive.free_bytes() > 0
