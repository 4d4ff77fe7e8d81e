"""Images that came after a backup come in again: which do, which wait, which stay unclaimed."""

import errno
import os
from types import SimpleNamespace

import pytest

from scp.configuration.sections import Node, Peer
from scp.configuration.settings import Settings
from scp.network.status import OtherPixels, OutOfResources
from scp.receiving import coming_again
from scp.receiving.coming_again import AT_ONCE, ImagesToCome
from storage.files.archive import UNCLAIMED
from storage.files.folder import FolderArchive
from storage.upkeep import to_come


@pytest.fixture
def archive(tmp_path):
    (tmp_path / UNCLAIMED).mkdir()
    return FolderArchive(tmp_path)


@pytest.fixture
def come_again(archive):
    """Let images of these senders come in; return who stored what, and what is unclaimed and to come then."""

    def let_in(senders, fault=None):
        stored = []
        for name in senders:
            (archive.data_dir / UNCLAIMED / name).write_bytes(name.encode())
        to_come.note(archive.data_dir, senders)

        def keep(path, *, calling_ae):
            if fault is not None:
                raise fault
            stored.append((path.read_bytes().decode(), calling_ae))

        ImagesToCome(
            settings=Settings(
                node=Node(data_dir=archive.data_dir), peers=(Peer(ae_title="PACS", results_to=()),)
            ),
            receiver=SimpleNamespace(archive=archive, keep=keep),
        ).take_some()
        assert list(archive.incoming.iterdir()) == []
        unclaimed = sorted(path.name for path in (archive.data_dir / UNCLAIMED).iterdir())
        return stored, unclaimed, to_come.read(archive.data_dir)

    return let_in


def test_each_comes_in_the_name_of_its_sender_and_others_stay_unclaimed(come_again):
    assert come_again({"1.dcm": "PACS", "2.dcm": "GONE"}) == ([("1.dcm", "PACS")], ["2.dcm"], {})


def test_a_few_come_at_a_time(come_again):
    senders = {f"{number:02}.dcm": "PACS" for number in range(AT_ONCE + 1)}
    stored, unclaimed, left = come_again(senders)
    assert (len(stored), unclaimed, left) == (AT_ONCE, ["10.dcm"], {"10.dcm": "PACS"})


def test_a_full_disk_lets_them_wait(come_again):
    _, unclaimed, left = come_again({"1.dcm": "PACS"}, OutOfResources("disk reserve reached"))
    assert (unclaimed, left) == (["1.dcm"], {"1.dcm": "PACS"})


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EMFILE])
def test_a_disk_that_takes_no_name_lets_them_wait(come_again, monkeypatch, number):
    def link(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(coming_again.os, "link", link)
    stored, unclaimed, left = come_again({"1.dcm": "PACS"})
    assert (stored, unclaimed, left) == ([], ["1.dcm"], {"1.dcm": "PACS"})


def test_what_the_disk_has_lost_stays_unclaimed_and_holds_nobody_up(come_again):
    _, unclaimed, left = come_again({"1.dcm": "PACS", "2.dcm": "PACS"}, OSError(errno.EIO, "I/O error"))
    assert (unclaimed, left) == (["1.dcm", "2.dcm"], {})


def test_what_is_refused_stays_unclaimed(come_again):
    _, unclaimed, left = come_again({"1.dcm": "PACS"}, OtherPixels("kept with other pixels"))
    assert (unclaimed, left) == (["1.dcm"], {})
