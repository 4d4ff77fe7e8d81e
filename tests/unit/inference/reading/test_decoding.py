"""Damaged files are findings; faults of the machine are not."""

import errno
import io
import struct
from pathlib import Path

import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from inference.errors import Failed
from inference.reading import damage, decoding, pixels
from inference.reading import mammogram as exam
from tests.support.mammograms import mammogram, write

READERS = (exam.read, decoding.read, pixels.from_dicom, pixels.from_image_file)


def small(**attributes):
    return mammogram(rows=64, columns=48, **attributes)


class Failing(io.BytesIO):
    """A file on a disk that fails after the first bytes."""

    def __init__(self, content, error):
        super().__init__(content)
        self.error = error

    def read(self, size=-1, /):
        if self.tell() > 200:
            raise self.error
        return super().read(size)


@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_is_not_there_is_no_finding(reader, tmp_path):
    with pytest.raises(FileNotFoundError):
        reader(tmp_path / "gone.dcm")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("error", [OSError(errno.EIO, "input/output error"), MemoryError()])
def test_a_machine_that_fails_while_reading_is_no_finding(reader, error, tmp_path, monkeypatch):
    path = write(small(), tmp_path / "a.dcm")
    if reader is pixels.from_image_file:
        Image.new("L", (400, 300), 90).save(path, format="PNG", compress_level=0)
    failing = Failing(path.read_bytes(), error)
    monkeypatch.setattr(Path, "open", lambda *_: failing)
    monkeypatch.setattr(damage, "opened", lambda _: failing)
    with pytest.raises(type(error)):
        reader(path)


def test_memory_that_runs_out_while_decoding_is_no_finding(tmp_path, monkeypatch):
    def exhausted(*_, **__):
        raise MemoryError

    monkeypatch.setattr(decoding, "pixel_array", exhausted)
    with pytest.raises(MemoryError):
        decoding.read(write(small(), tmp_path / "a.dcm"))


def test_an_oserror_without_a_number_is_said_of_the_content():
    with pytest.raises(Failed, match="damaged"), damage.translated("damaged"):
        raise OSError("No tag to read at file position 2")  # pydicom's, of a sequence that breaks off


def test_a_damaged_deflated_file_is_a_failure(tmp_path):
    header = small()
    header.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    whole = write(header, tmp_path / "a.dcm").read_bytes()
    (tmp_path / "a.dcm").write_bytes(whole[:500] + b"\xff" * (len(whole) - 500))
    with pytest.raises(Failed, match="damaged"):
        decoding.read(tmp_path / "a.dcm")


@pytest.mark.parametrize(
    ("syntax", "words"), [(ExplicitVRLittleEndian, "cut short"), (JPEG2000Lossless, "400 megapixels")]
)
def test_a_size_beyond_belief_is_refused_before_anything_is_decoded(tmp_path, monkeypatch, syntax, words):
    header = small(Rows=65535, Columns=65535)
    if syntax.is_compressed:
        header.PixelData = encapsulate([b"\xff\x4f\xff\x51" + bytes(100)])
        header["PixelData"].is_undefined_length = True
        header["PixelData"].VR = "OB"
    header.file_meta.TransferSyntaxUID = syntax
    monkeypatch.setattr(decoding, "pixel_array", lambda *_, **__: pytest.fail("it was decoded"))
    with pytest.raises(Failed, match=words):
        decoding.read(write(header, tmp_path / "a.dcm"))


def test_a_decoder_that_panics_over_its_input_is_a_failure(tmp_path):
    header = small()
    segment = b"\x81\x00" * header.Rows * header.Columns  # runs of 128 bytes: far more than there are pixels
    places = [2, 64, 64 + len(segment), *[0] * 13]
    header.PixelData = encapsulate([struct.pack("<16L", *places) + segment * 2])
    header["PixelData"].is_undefined_length = True
    header["PixelData"].VR = "OB"
    header.file_meta.TransferSyntaxUID = RLELossless
    with pytest.raises(Failed, match="could not be decoded"):
        decoding.read(write(header, tmp_path / "a.dcm"))


@pytest.mark.parametrize("keyword", ["Rows", "BitsStored"])
def test_attribute_with_several_values_is_named(tmp_path, keyword):
    image = mammogram("R", "CC", rows=16, columns=16)
    image[keyword].value = [16, 16]
    with pytest.raises(Failed, match="several values"):
        decoding.read(write(image, tmp_path / "a.dcm"))


def test_a_file_that_is_cut_off_before_its_pixels_is_to_be_copied_again(tmp_path):
    image = small()
    image.add_new(0x00321060, "LO", "x" * 64)  # RequestedProcedureDescription
    content = write(image, tmp_path / "a.dcm").read_bytes()
    within = content.index(b"x" * 64) + 32
    for length, words in ((within, "ends too early: copy it again"), (within + 32, "has no pixel data")):
        (tmp_path / "b.dcm").write_bytes(content[:length])
        with pytest.raises(Failed, match=words):
            decoding.read(tmp_path / "b.dcm")
