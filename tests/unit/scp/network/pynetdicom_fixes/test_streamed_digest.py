import hashlib

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from scp.network.pynetdicom_fixes.received_file import ReceivedFile
from scp.network.pynetdicom_fixes.streamed_digest import PixelDigest
from scp.receiving import dataset
from tests.support.mammograms import mammogram, write

SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]


def image(syntax, **attributes):
    """A mammogram in ``syntax``."""
    data_set = mammogram(rows=64, columns=64, **attributes)
    data_set.file_meta.TransferSyntaxUID = syntax
    return data_set


def received(file, folder, piece):
    """What was digested of ``file`` while it came in pieces of so many bytes."""
    arrived = ReceivedFile(folder)
    content = file.read_bytes()
    for start in range(0, len(content), piece):
        arrived.write(content[start : start + piece])
    arrived.close()
    return arrived.pixel_digest


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("piece", [1000, 4096, 1 << 20])
def test_digest_is_that_of_the_pixels_as_they_are_in_the_file(tmp_path, syntax, piece):
    file = write(image(syntax), tmp_path / "image.dcm")
    pixels = file.read_bytes()[-2 * 64 * 64 :]
    assert received(file, tmp_path, piece) == PixelDigest(
        file.stat().st_size - len(pixels), hashlib.sha256(pixels).hexdigest()
    )


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_kept_digest_is_the_same_however_the_image_came(tmp_path, syntax):
    """Headers of pixels may lie across two units, pixels of an icon may come first."""
    icon = Dataset()
    icon.Rows = icon.Columns = 2
    icon.add_new("PixelData", "OW", b"icon")
    for number, sequence in enumerate(([], [icon])):
        file = write(image(syntax, IconImageSequence=sequence), tmp_path / f"{number}.dcm")
        expected = dataset.read(file).pixel_sha256
        for piece in (1, 7, 1000, 1 << 20):
            digest = received(file, tmp_path, piece)
            assert dataset.read(file, pixels=digest).pixel_sha256 == expected


def test_digest_from_the_place_of_the_pixels_is_believed(tmp_path):
    """Else the file is read again, and nothing was won."""
    file = write(image(ExplicitVRLittleEndian), tmp_path / "image.dcm")
    start = file.stat().st_size - 2 * 64 * 64
    assert dataset.read(file, pixels=PixelDigest(start, "digest")).pixel_sha256 == "digest"
    assert dataset.read(file, pixels=PixelDigest(start + 1, "digest")).pixel_sha256 != "digest"
