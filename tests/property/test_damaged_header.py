"""Attributes whose bytes are not what their VR promises: refused or kept, never a fault of the node."""

import io

import pytest
from pydicom.uid import BreastTomosynthesisImageStorage, CTImageStorage

from scp import product
from scp.receive import Receiver
from scp.status import Foreign, Unreadable
from storage.archive import Archive
from storage.database import Database
from storage.records import Kept
from tests.support.mammograms import mammogram
from tests.support.owed import NOW

MANUFACTURER = b"\x08\x00\x70\x00"
SOP_CLASS = b"\x08\x00\x16\x00"
WINDOW_WIDTH = b"\x28\x00\x51\x10"


@pytest.fixture
def receiver(tmp_path):
    database = Database.open(tmp_path / "data")
    yield Receiver(
        database=database,
        archive=Archive(tmp_path / "data"),
        device=product.device("SECONDREAD"),
        disk_reserve=0,
        destinations=lambda _: ("PACS",),
        same_pixels=lambda *_: True,
        now=lambda: NOW,
        arrived=lambda: None,
    )
    database.close()


def with_vr(receiver, image, tag, old, new):
    """Write ``image`` with another VR for one element; return the file."""
    buffer = io.BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    data = buffer.getvalue()
    assert data.count(tag + old) == 1
    path = receiver.archive.incoming / "received.dcm"
    path.write_bytes(data.replace(tag + old, tag + new))
    return path


def test_manufacturer_that_is_no_number_of_its_length_is_not_ours(receiver):
    path = with_vr(receiver, mammogram("R", "CC"), MANUFACTURER, b"LO", b"FD")
    assert receiver.keep(path, calling_ae="PACS") is Kept.NEW


def test_class_that_is_no_uid_by_its_vr_is_refused_by_name(receiver):
    foreign = mammogram("R", "CC")
    foreign.SOPClassUID = foreign.file_meta.MediaStorageSOPClassUID = CTImageStorage
    path = with_vr(receiver, foreign, SOP_CLASS, b"UI", b"LO")
    with pytest.raises(Foreign, match="CT Image Storage"):
        receiver.keep(path, calling_ae="PACS")


def test_header_of_tomosynthesis_that_cannot_be_written_is_refused(receiver):
    image = mammogram("R", "CC", sop_class=BreastTomosynthesisImageStorage, SpecificCharacterSet="ISO_IR 192")
    image.WindowWidth = None
    image.add_new("WindowWidth", "LO", "\u201c4096\u201d")
    path = with_vr(receiver, image, WINDOW_WIDTH, b"LO", b"DS")
    with pytest.raises(Unreadable, match="header"):
        receiver.keep(path, calling_ae="PACS")
