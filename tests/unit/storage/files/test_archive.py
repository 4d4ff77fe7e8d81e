"""Files appear whole or not at all, under names of our own: in a folder, in the bucket of a real server."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from storage.errors import OutsideArchive
from storage.files.archive import KeptFile, Swept, without_claim
from storage.files.bucket import BucketArchive
from storage.files.folder import FolderArchive, unclaimed
from tests.support import s3

DIGEST = "0123456789abcdef" * 4


@pytest.fixture(params=["folder", "bucket"])
def archive(request, tmp_path):
    if request.param == "folder":
        return FolderArchive(tmp_path / "data")
    return BucketArchive(tmp_path / "data", s3.place(), copies_bytes=10_000_000)


def waiting(archive):
    """Return how many instances wait to be stored again."""
    return unclaimed(archive.data_dir) if archive.is_on_disk else archive.count_unclaimed()


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
    assert re.fullmatch(r"instances/[0-9a-f]{2}/[0-9a-f]{32}-0123456789abcdef\.dcm", name)
    assert archive.path(name).parents[2].is_relative_to(archive.data_dir)


@pytest.mark.parametrize("digest", ["../../../../x", "/etc/passwd"])
def test_no_digest_leads_out_of_the_archive(archive, digest):
    temporary = incoming(archive)
    with pytest.raises(OutsideArchive):
        archive.keep(temporary, uid="1.2.3", digest=digest)
    assert temporary.exists()


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "instances/../../x", "secondread.sqlite", "incoming/x", ".", ""]
)
def test_a_name_outside_the_archive_is_refused(archive, name):
    with pytest.raises(OutsideArchive, match="no name of a file"):
        archive.path(name)


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


def test_removing_what_is_gone_is_fine(archive):
    name = archive.keep(incoming(archive), uid="1.2.3", digest=DIGEST)
    archive.remove(name)
    archive.remove(name)
    assert not archive.holds(name)


def test_what_interrupted_receptions_left_is_cleared(archive):
    incoming(archive)
    assert archive.clear_incoming() == 1
    assert list(archive.incoming.iterdir()) == []


def swept(archive, *, named=(), last_known=None):
    orphans = [
        KeptFile(name=name, modified=archive.modified(name)) for name in archive.names() if name not in named
    ]
    return archive.sweep(orphans, without_claim(orphans, (last_known or {}).items()))


def test_results_that_no_row_names_are_removed(archive):
    named = archive.keep(incoming(archive), uid="1.2.3", digest=DIGEST)
    orphan = archive.keep_bytes(b"x", folder="heatmaps", key="k", suffix=".png")
    assert swept(archive, named=[named]) == Swept(removed=1, unclaimed=0)
    assert archive.holds(named)
    assert not archive.holds(orphan)


def test_a_file_that_is_written_again_just_now_stays(tmp_path):
    archive = FolderArchive(tmp_path / "data")
    name = archive.keep_bytes(b"x", folder="heatmaps", key="k", suffix=".png")
    orphan = KeptFile(name=name, modified=archive.modified(name) - 60)
    assert archive.sweep([orphan], set()) == Swept(removed=0, unclaimed=0)
    assert archive.holds(name)
    assert list(archive.incoming.iterdir()) == []


def test_instance_that_the_database_does_not_know_stays_until_it_comes_again(archive):
    late = archive.keep(incoming(archive), uid="1.2.3", digest=DIGEST)
    soon = datetime.now(UTC) + timedelta(hours=1)
    assert swept(archive, last_known={"1.2.4": soon}) == Swept(removed=0, unclaimed=1)
    assert not archive.holds(late)
    assert waiting(archive) == 1
    if archive.is_on_disk:
        assert (archive.data_dir / "unclaimed").stat().st_mode & 0o077 == 0
    archive.keep(incoming(archive), uid="1.2.3", digest=DIGEST)
    assert waiting(archive) == 0


def test_header_of_an_instance_stays_until_it_comes_again_too(archive):
    header = {"data": b"x", "folder": "instances", "key": "1.2.3 header", "suffix": ".dcm"}
    archive.keep_bytes(**header)
    assert swept(archive).unclaimed == waiting(archive) == 1
    archive.keep_bytes(**header)
    assert waiting(archive) == 0


@pytest.mark.parametrize(
    ("learnt", "outcome"), [(+1, Swept(removed=1, unclaimed=0)), (-1, Swept(removed=0, unclaimed=1))]
)
@pytest.mark.parametrize("key", ["1.2.3", "1.2.3 header"])
def test_instance_was_replaced_or_forgotten_where_the_database_has_learnt_of_it_since(
    archive, key, learnt, outcome
):
    archive.keep_bytes(b"x", folder="instances", key=key, suffix=".dcm")
    assert swept(archive, last_known={"1.2.3": datetime.now(UTC) + timedelta(hours=learnt)}) == outcome


def test_free_space_is_that_of_its_file_system(archive):
    assert archive.free_bytes() > 0
