"""Lengths far beyond the file, wherever a length may stand: they cost no memory, and nothing escapes."""

import contextlib
import io
import tracemalloc
import zlib

import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from inference.errors import Failed, Refused
from inference.reading import decoding
from inference.reading import mammogram as exam
from scp.network.status import Foreign, Incomplete, Unreadable
from scp.receiving import dataset
from tests.support.mammograms import mammogram

LIE = b"\xf0\xff\xff\xff"
"""Almost 4 GB, as the 32 bits of a length."""
ENOUGH = 50_000_000
"""Bytes; the files of these tests have less than one million."""
PIXELS = b"\xe0\x7f\x10\x00"
ITEM = b"\xfe\xff\x00\xe0"
VIEW_CODE = b"\x54\x00\x20\x02SQ\0\0"
COMPRESSED = (RLELossless, JPEGLSLossless, JPEG2000Lossless)


def encoded(image):
    buffer = io.BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def element(tag, value=b""):
    return tag + b"OB\0\0" + LIE + value


def before_the_pixels(data):
    place = data.rfind(PIXELS)
    return data[:place] + element(b"\xdf\x7f\x10\x00") + data[place:]


def behind_the_pixels(data):
    return data + element(b"\xfc\xff\xfc\xff")


def of_the_pixels(data):
    place = data.rfind(PIXELS) + len(PIXELS) + 4
    return data[:place] + LIE + data[place + 4 :]


def of_what_looks_like_file_meta_information(data):
    start = 144 + int.from_bytes(data[140:144], "little")
    return data[:start] + element(b"\x02\x00\x99\x00") + data[start:]


def of_an_item(data):
    """In a sequence of defined length, which pydicom reads when it is asked for."""
    place = data.index(VIEW_CODE) + len(VIEW_CODE) + 4 + len(ITEM)
    return data[:place] + LIE + data[place + 4 :]


def of_an_item_of_an_endless_sequence(data):
    """In a sequence of undefined length, which pydicom reads with the file."""
    place = data.index(VIEW_CODE) + len(VIEW_CODE)
    return data[:place] + b"\xff\xff\xff\xff" + ITEM + LIE + data[place + 12 :]


def of_the_basic_offset_table(data):
    place = data.rfind(PIXELS) + 16
    assert data[place - 4 : place] == ITEM
    return data[:place] + LIE + data[place + 4 :]


def in_the_basic_offset_table(data):
    place = data.rfind(PIXELS) + 16
    length = int.from_bytes(data[place : place + 4], "little")
    return data[:place] + b"\x04\0\0\0" + LIE + data[place + 4 + length :]


def of_a_fragment(data):
    place = data.rindex(ITEM) + len(ITEM)
    return data[:place] + LIE + data[place + 4 :]


def check(folder, data):
    """Read ``data`` in all the ways in which the node reads: it is read, or refused as what it is."""
    path = folder / "lying.dcm"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        for read in (dataset.read, exam.read, decoding.read):
            with contextlib.suppress(Unreadable, Foreign, Incomplete, Failed, Refused):
                read(path)
        assert tracemalloc.get_traced_memory()[1] < ENOUGH
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "lie",
    [
        before_the_pixels,
        behind_the_pixels,
        of_the_pixels,
        of_what_looks_like_file_meta_information,
        of_an_item,
        of_an_item_of_an_endless_sequence,
    ],
)
def test_length_of_an_element_costs_no_memory(tmp_path, lie):
    check(tmp_path, lie(encoded(mammogram("R", "CC"))))


def test_length_in_implicit_vr_costs_no_memory(tmp_path):
    image = mammogram("R", "CC")
    image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    check(tmp_path, encoded(image) + b"\xfc\xff\xfc\xff" + LIE)


def test_length_in_a_deflated_data_set_costs_no_memory(tmp_path):
    image = mammogram("R", "CC")
    image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    image.add_new(0x7FDF0010, "OB", b"place of the lie")
    buffer = encoded(image)
    start = 144 + int.from_bytes(buffer[140:144], "little")
    check(tmp_path, buffer[:start] + deflated_lie(buffer[start:]))


def deflated_lie(stream):
    data = zlib.decompress(stream, -zlib.MAX_WBITS)
    place = data.index(b"\xdf\x7f\x10\x00OB\0\0") + 8
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data[:place] + LIE + data[place + 4 :]) + packer.flush()


@pytest.mark.parametrize("syntax", COMPRESSED)
@pytest.mark.parametrize("lie", [of_the_basic_offset_table, in_the_basic_offset_table, of_a_fragment])
def test_length_in_encapsulated_pixels_costs_no_memory(tmp_path, syntax, lie):
    image = mammogram("R", "CC")
    image.compress(syntax, generate_instance_uid=False)
    check(tmp_path, lie(encoded(image)))
