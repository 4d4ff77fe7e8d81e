"""Files in the data directory are on the disk when they are kept."""

import errno
import os
from pathlib import Path

import pytest

from storage.errors import Full, OutsideArchive
from storage.files.folder import FolderArchive

DIGEST = "0123456789abcdef" * 4


@pytest.fixture
def archive(tmp_path):
    return FolderArchive(tmp_path / "data")


def incoming(archive, content=b"pixels"):
    path = archive.incoming / "tmp123"
    path.write_bytes(content)
    return path


def test_a_link_that_leads_out_is_refused(archive, tmp_path):
    (archive.data_dir / "results" / "out").symlink_to(tmp_path)
    with pytest.raises(OutsideArchive):
        archive.path("results/out/x")


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


def test_the_tree_is_for_its_user_alone(archive):
    for folder in (archive.data_dir, archive.incoming, archive.data_dir / "instances"):
        assert folder.stat().st_mode & 0o077 == 0
