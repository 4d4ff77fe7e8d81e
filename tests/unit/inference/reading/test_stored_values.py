"""The same samples give the same picture in every compression, or none where header and pixels disagree."""

import gdcm
import numpy as np
import pytest
from PIL import Image
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from inference.errors import Failed
from inference.reading import decoding, pixels
from tests.support import mutation_seeds
from tests.support.mammograms import mammogram, write

SYNTAXES = [ExplicitVRLittleEndian, RLELossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless]
SIZE = {"rows": 128, "columns": 96}
in_every_syntax = pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.keyword)


def samples_of(**attributes):
    ds = mammogram("L", "MLO", **SIZE, **attributes)
    return np.frombuffer(ds.PixelData, "<u2").astype(np.int32)


def file_of(folder, syntax, values, *, encoded_signed, **header):
    """Write a 12-bit image of ``values``, compressed as signed or not, whose header says what it may."""
    ds = mammogram("L", "MLO", **SIZE, PixelRepresentation=int(encoded_signed), BitsStored=12)
    ds.PixelData = values.astype("<i2" if encoded_signed else "<u2").tobytes()
    if syntax == JPEGLosslessSV1:
        ds = mutation_seeds._jpeg(ds, syntax, gdcm.TransferSyntax.JPEGLosslessProcess14_1)
    elif syntax.is_compressed:
        ds.compress(syntax, generate_instance_uid=False)
    for keyword, value in header.items():
        setattr(ds, keyword, value)
    return write(ds, folder / f"{syntax.keyword}{encoded_signed}.dcm")


@in_every_syntax
def test_signed_pixels_look_the_same_however_they_were_encoded(tmp_path, syntax):
    values = samples_of() - 2048
    header = {"PixelRepresentation": 1, "WindowCenter": "0", "WindowWidth": "4096"}
    signed = file_of(tmp_path, syntax, values, encoded_signed=True, **header)
    complement = file_of(tmp_path, syntax, values & 0xFFF, encoded_signed=False, **header)
    for path in (signed, complement):
        assert np.array_equal(decoding.read(path)[1].ravel(), values)
        assert pixels.from_dicom(path).grey.ravel() == pytest.approx((values + 2048) / 4095, abs=1e-3)


@in_every_syntax
def test_unsigned_pixels_that_the_header_calls_signed_disagree(tmp_path, syntax):
    path = file_of(tmp_path, syntax, samples_of(), encoded_signed=False, PixelRepresentation=1)
    with pytest.raises(Failed, match="header and pixels disagree"):
        pixels.from_dicom(path)


@in_every_syntax
def test_signed_pixels_that_the_header_calls_unsigned_disagree(tmp_path, syntax):
    values = samples_of() - 2048
    path = file_of(tmp_path, syntax, values, encoded_signed=True, PixelRepresentation=0)
    with pytest.raises(Failed, match="header and pixels disagree"):
        pixels.from_dicom(path)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless], ids=lambda syntax: syntax.keyword)
def test_values_in_the_upper_bits_are_shifted_down(tmp_path, syntax):
    values = samples_of()
    ds = mammogram("L", "MLO", **SIZE, HighBit=15)
    ds.PixelData = (values << 4).astype("<u2").tobytes()
    if syntax.is_compressed:
        ds.compress(syntax, generate_instance_uid=False)
    path = write(ds, tmp_path / "a.dcm")
    assert np.array_equal(decoding.read(path)[1].ravel(), values)
    plain = pixels.from_dicom(write(mammogram("L", "MLO", **SIZE), tmp_path / "b.dcm"))
    assert np.array_equal(pixels.from_dicom(path).grey, plain.grey)


def test_values_outside_bits_stored_disagree(tmp_path):
    ds = mammogram("L", "MLO", **SIZE, bits=14)
    ds.BitsStored, ds.HighBit = 12, 11
    with pytest.raises(Failed, match="outside Bits Stored"):
        pixels.from_dicom(write(ds, tmp_path / "a.dcm"))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_whole_pictures_with_white_labels_agree(tmp_path, photometric, bits):
    ds = mammogram("L", "MLO", **SIZE, bits=bits, photometric=photometric)
    values = ds.pixel_array.copy()
    values[4:20:2, 70:90] = 2**bits - 1 if photometric == "MONOCHROME2" else 0
    ds.PixelData = values.tobytes()
    assert pixels.from_dicom(write(ds, tmp_path / "a.dcm")).grey.max() == 1


@pytest.mark.parametrize("lost", [1, 2, 4])
def test_values_that_have_lost_upper_bits_are_no_picture(tmp_path, lost):
    ds = mammogram("L", "MLO", **SIZE)
    values = ds.pixel_array % (2 ** (12 - lost))
    ds.PixelData = values.astype("<u2").tobytes()
    with pytest.raises(Failed, match="values wrap around"):
        pixels.from_dicom(write(ds, tmp_path / "a.dcm"))
    Image.fromarray((values % 256).astype(np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(Failed, match="values wrap around"):
        pixels.from_image_file(tmp_path / "a.png")
