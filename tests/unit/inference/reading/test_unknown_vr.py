"""An element of unknown VR loses nothing behind it."""

import struct

import pytest

from inference.reading import decoding, mammogram
from tests.support.mammograms import mammogram as made
from tests.support.mammograms import write

MANUFACTURER = b"\x08\x00\x70\x00"
PATIENT_ID = b"\x10\x00\x20\x00"


def with_vr(folder, tag, form):
    """Write a mammogram whose element ``tag`` has the header that ``form`` makes of its length."""
    path = write(made("R", "CC", rows=16, columns=16), folder / "a.dcm")
    data = path.read_bytes()
    place = data.index(tag, 132)
    length = int.from_bytes(data[place + 6 : place + 8], "little")
    path.write_bytes(data[: place + 4] + form(length) + data[place + 8 :])
    return path


@pytest.mark.parametrize("tag", [MANUFACTURER, PATIENT_ID])
@pytest.mark.parametrize("letters", [b"??", b"--", b"  ", b"\0\0", b"ZZ", b"lo"])
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.filterwarnings("ignore")
def test_what_stands_behind_an_unknown_vr_is_read(tmp_path, tag, letters, wide):
    def form(length):
        return letters + (struct.pack("<HL", 0, length) if wide else struct.pack("<H", length))

    path = with_vr(tmp_path, tag, form)
    described = mammogram.read(path)
    assert (described.label, described.rows, described.objection) == ("R CC", 16, None)
    assert decoding.read(path)[1].shape == (16, 16)


@pytest.mark.filterwarnings("ignore")
def test_the_value_of_an_element_of_unknown_vr_is_that_of_its_tag(tmp_path):
    path = with_vr(tmp_path, MANUFACTURER, lambda length: b"??" + struct.pack("<H", length))
    whole = made("R", "CC", rows=16, columns=16)
    assert mammogram.read(path).header.Manufacturer == whole.Manufacturer


@pytest.mark.filterwarnings("ignore")
def test_an_element_in_implicit_vr_stays_one(tmp_path):
    path = with_vr(tmp_path, MANUFACTURER, lambda length: struct.pack("<L", length))
    whole = made("R", "CC", rows=16, columns=16)
    assert mammogram.read(path).header.Manufacturer == whole.Manufacturer
    assert mammogram.read(path).label == "R CC"
