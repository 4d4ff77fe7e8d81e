"""An element of unknown VR loses nothing behind it."""

import io
import struct
import zlib

import pydicom
import pytest
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian

from inference.errors import Failed
from inference.reading import decoding, mammogram, unknown_vr
from tests.support.mammograms import mammogram as new_mammogram
from tests.support.mammograms import write

MANUFACTURER = b"\x08\x00\x70\x00"
PATIENT_ID = b"\x10\x00\x20\x00"


def with_vr(folder, tag, form):
    """Write a mammogram whose element ``tag`` has the header that ``form`` makes of its length."""
    path = write(new_mammogram("R", "CC", rows=16, columns=16), folder / "a.dcm")
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
    whole = new_mammogram("R", "CC", rows=16, columns=16)
    assert mammogram.read(path).header.Manufacturer == whole.Manufacturer


@pytest.mark.filterwarnings("ignore")
def test_an_element_in_implicit_vr_stays_one(tmp_path):
    path = with_vr(tmp_path, MANUFACTURER, lambda length: struct.pack("<L", length))
    whole = new_mammogram("R", "CC", rows=16, columns=16)
    assert mammogram.read(path).header.Manufacturer == whole.Manufacturer
    assert mammogram.read(path).label == "R CC"


UNKNOWN = b"\x19\x00\x10\x10??\x04\x00abcd"
ZZ = b"\x19\x00\x11\x10ZZ\x00\x00\x04\x00\x00\x00abcd"
CREATOR = b"\x19\x00\x10\x00LO\x04\x00ACME"
OPEN = b"\x00\x00\xff\xff\xff\xff"
ITEM = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
END = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"


def sequence(content, vr=b"SQ"):
    """A private sequence of undefined length with one item."""
    return b"\x19\x00\x20\x10" + vr + OPEN + ITEM + CREATOR + content + END


def as_deflated(path, data):
    """The file with ``data``, which has the meta information of that at ``path``, in the deflated syntax."""
    begin = 144 + int.from_bytes(data[140:144], "little")
    meta = pydicom.dcmread(path).file_meta
    meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    head = io.BytesIO(b"")
    write_file_meta_info(head, meta)
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return data[:132] + head.getvalue() + stream.compress(data[begin:]) + stream.flush()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("deflated", [False, True])
@pytest.mark.parametrize(
    "inserted",
    [
        CREATOR + UNKNOWN,
        CREATOR + UNKNOWN + ZZ,
        CREATOR + sequence(UNKNOWN),
        CREATOR + sequence(ZZ),
        CREATOR + sequence(sequence(UNKNOWN + ZZ)),
        CREATOR + sequence(b"", vr=b"ZZ"),
        CREATOR
        + b"\x19\x00\x21\x10UN"
        + OPEN
        + ITEM
        + b"\x19\0\1\0\4\0\0\0abcd"
        + END
        + ZZ.replace(b"\x11", b"\x22"),
    ],
)
def test_unknown_vrs_in_sequences_and_in_deflated_files_lose_nothing(tmp_path, inserted, deflated):
    path = write(new_mammogram("R", "CC", rows=16, columns=16), tmp_path / "a.dcm")
    data = path.read_bytes()
    place = data.index(b"\x20\x00\x0d\x00UI")
    data = data[:place] + inserted + data[place:]
    path.write_bytes(as_deflated(path, data) if deflated else data)
    described = mammogram.read(path)
    assert (described.label, described.rows, described.objection) == ("R CC", 16, None)
    assert decoding.read(path)[1].shape == (16, 16)


def private(tag, size):
    return tag + b"OB\0\0" + size.to_bytes(4, "little") + bytes(size)


def test_what_a_deflated_file_has_behind_its_pixels_is_not_inflated(tmp_path, monkeypatch):
    monkeypatch.setattr(unknown_vr, "_LARGEST", 1_000_000)
    path = write(new_mammogram("R", "CC", rows=16, columns=16), tmp_path / "a.dcm")
    path.write_bytes(as_deflated(path, path.read_bytes() + private(b"\xe1\x7f\x01\x10", 3_000_000)))
    assert mammogram.read(path).label == "R CC"
    assert decoding.read(path)[1].shape == (16, 16)


def test_header_that_inflates_without_end_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(unknown_vr, "_LONGEST_HEADER", 100_000)
    path = write(new_mammogram("R", "CC", rows=16, columns=16), tmp_path / "a.dcm")
    data = path.read_bytes()
    place = data.index(b"\x20\x00\x0d\x00UI")
    path.write_bytes(as_deflated(path, data[:place] + private(b"\x19\x00\x11\x10", 3_000_000) + data[place:]))
    with pytest.raises(Failed):
        mammogram.read(path)
