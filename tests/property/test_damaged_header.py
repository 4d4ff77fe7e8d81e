"""Attributes whose bytes are not what their VR promises: refused or kept, never a fault of the node."""

import io
import struct

import numpy as np
import pytest
from pydicom.uid import BreastTomosynthesisImageStorage, CTImageStorage

from inference.errors import Failed
from inference.reading import mammogram as exam
from inference.reading import pixels, rendering
from scp import product
from scp.network.status import Foreign, Unreadable
from scp.receiving.store import Receiver
from storage.database.engine import Database
from storage.files.folder import FolderArchive
from storage.queue import arrivals
from storage.records import ArrivalOutcome
from tests.support.mammograms import mammogram
from tests.support.owed import NOW

MANUFACTURER = b"\x08\x00\x70\x00"
SOP_CLASS = b"\x08\x00\x16\x00"
SERIES_DESCRIPTION = b"\x08\x00\x3e\x10"
VIEW_POSITION = b"\x18\x00\x01\x51"
BODY_PART = b"\x18\x00\x15\x00"
VOI_LUT_FUNCTION = b"\x28\x00\x56\x10"
VIEW_CODES = b"\x54\x00\x20\x02"
WINDOW_WIDTH = b"\x28\x00\x51\x10"


@pytest.fixture
def receiver(tmp_path):
    database = Database.open(tmp_path / "data")
    yield Receiver(
        database=database,
        archive=FolderArchive(tmp_path / "data"),
        device=product.device("SECONDREAD"),
        disk_reserve=0,
        destinations=lambda _: ("PACS",),
        takes=lambda *_: True,
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


def damaged_sequence():
    """An element with VR SQ whose only item holds a number of three bytes (US has two)."""
    inner = b"\x28\x00\x10\x00US\x03\x00\x01\x02\x03"
    item = b"\xfe\xff\x00\xe0" + struct.pack("<L", len(inner)) + inner
    return b"SQ\0\0" + struct.pack("<L", len(item)) + item


def with_bytes(receiver, image, tag, new):
    """Write ``image`` with other bytes behind the tag of one short element; return the file."""
    buffer = io.BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    data = buffer.getvalue()
    assert data.count(tag) == 1
    place = data.index(tag) + 4
    end = place + 4 + int.from_bytes(data[place + 2 : place + 4], "little")
    path = receiver.archive.incoming / "received.dcm"
    path.write_bytes(data[:place] + new + data[end:])
    return path


def reading(path):
    """Read the image at ``path`` as the worker does; return why that fails."""
    assert exam.read(path).objection is None
    with pytest.raises(Failed) as failure:
        pixels.from_dicom(path)
    return str(failure.value)


@pytest.mark.parametrize("tag", [SERIES_DESCRIPTION, VIEW_POSITION, BODY_PART])
@pytest.mark.filterwarnings("ignore")  # pydicom tells of each
def test_damaged_sequence_in_place_of_words_counts_as_absent(receiver, tag):
    image = mammogram("R", "CC", SeriesDescription="no side", ViewPosition="CC", BodyPartExamined="BREAST")
    path = with_bytes(receiver, image, tag, damaged_sequence())
    assert exam.read(path).objection is None
    assert receiver.keep(path, calling_ae="PACS") is ArrivalOutcome.NEW


@pytest.mark.filterwarnings("ignore")
def test_damaged_sequence_in_place_of_how_values_are_shown_is_a_failure(receiver):
    path = with_bytes(receiver, mammogram("R", "CC"), VOI_LUT_FUNCTION, b"US\x03\x00\x01\x02\x03")
    assert "a table in it is damaged" in reading(path)


@pytest.mark.parametrize("bits", [0, 17, 40, 65535])
def test_more_bits_than_are_there_are_a_failure(bits):
    image = mammogram("R", "CC", BitsStored=bits)
    with pytest.raises(Failed):
        rendering.render(image, np.zeros((image.Rows, image.Columns), np.uint16))


@pytest.mark.filterwarnings("ignore")
def test_header_of_tomosynthesis_with_an_unknown_vr_in_front_is_kept_as_it_reads(receiver):
    """An unknown VR that is no two letters is put first, where pydicom alone takes it for Implicit VR."""
    image = mammogram("R", "CC", sop_class=BreastTomosynthesisImageStorage)
    path = receiver.archive.incoming / "received.dcm"
    image.save_as(path, enforce_file_format=True)
    data = path.read_bytes()
    place = data.index(MANUFACTURER)
    path.write_bytes(data[:place] + b"\x04\x00ACC1\x02\x00MG" + data[place:])
    expected = exam.read(path).description.header_digest
    assert receiver.keep(path, calling_ae="PACS") is ArrivalOutcome.NEW
    with receiver.database.read() as tx:
        instance = arrivals.find(tx, str(image.SOPInstanceUID))
    assert exam.read(receiver.archive.path(instance.file)).description.header_digest == expected


@pytest.mark.filterwarnings("ignore")
def test_sequences_in_sequences_without_end_are_refused(receiver):
    nested = b""
    for _ in range(400):
        item = b"\xfe\xff\x00\xe0" + struct.pack("<L", len(nested)) + nested
        nested = VIEW_CODES + b"SQ\0\0" + struct.pack("<L", len(item)) + item
    image = mammogram("R", "CC", ViewCodeSequence=None, ViewPosition="CC")
    path = with_bytes(receiver, image, VIEW_POSITION, b"CS\x02\x00CC" + nested)
    with pytest.raises(Unreadable):
        receiver.keep(path, calling_ae="PACS")


def test_manufacturer_that_is_no_number_of_its_length_is_not_ours(receiver):
    path = with_vr(receiver, mammogram("R", "CC"), MANUFACTURER, b"LO", b"FD")
    assert receiver.keep(path, calling_ae="PACS") is ArrivalOutcome.NEW


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
