import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from inference.errors import Failed, Refused
from inference.reading import decoding, transfer_syntaxes
from tests.support import htj2k_pattern
from tests.support.mammograms import mammogram, write
from tests.support.peers import require
from tests.support.wire import Wire

DEPTHS = (8, 10, 12, 14, 16)
SIZE = {"rows": 161, "columns": 127}  # odd, so that a frame's padding byte and broken blocks occur


def source(bits):
    return mammogram("R", "MLO", bits=bits, lesion=True, **SIZE)


def compress(ds, syntax):
    plugin = "pylibjpeg" if syntax == RLELossless else ""  # GDCM's RLE encoder crashes on odd sizes
    ds.compress(syntax, encoding_plugin=plugin)


def by_dcmtk(program, options, ds, folder):
    plain, packed = write(ds, folder / "plain.dcm"), folder / "packed.dcm"
    subprocess.run([require(program), *options, str(plain), str(packed)], check=True, capture_output=True)
    return packed


@pytest.fixture(scope="module")
def wire(tmp_path_factory):
    opened = Wire(tmp_path_factory.mktemp("wire"))
    yield opened
    opened.close()


def difference(wire, path, expected, syntax):
    """The largest difference of stored values, after ``path`` was stored over the network."""
    header, values = decoding.read(wire.carry(path))
    assert header.file_meta.TransferSyntaxUID == syntax
    return int(np.abs(values.astype(int) - expected.astype(int)).max())


@pytest.mark.parametrize("bits", DEPTHS)
@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian]
)
def test_native_syntaxes_decode_exactly(wire, tmp_path, syntax, bits):
    ds = source(bits)
    expected = ds.pixel_array
    ds.file_meta.TransferSyntaxUID = syntax
    assert difference(wire, write(ds, tmp_path / "a.dcm"), expected, syntax) == 0


@pytest.mark.parametrize("bits", DEPTHS)
@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_lossless_syntaxes_decode_exactly(wire, tmp_path, syntax, bits):
    ds = source(bits)
    expected = ds.pixel_array.copy()
    compress(ds, syntax)
    assert difference(wire, write(ds, tmp_path / "a.dcm"), expected, syntax) == 0


@pytest.mark.parametrize("bits", DEPTHS)
@pytest.mark.parametrize(("syntax", "option"), [(JPEGLossless, "+el"), (JPEGLosslessSV1, "+e1")])
def test_jpeg_lossless_decodes_exactly(wire, tmp_path, syntax, option, bits):
    ds = source(bits)
    assert difference(wire, by_dcmtk("dcmcjpeg", [option], ds, tmp_path), ds.pixel_array, syntax) == 0


@pytest.mark.parametrize("bits", DEPTHS)
@pytest.mark.parametrize(("program", "syntax"), [("dcmcrle", RLELossless), ("dcmcjpls", JPEGLSLossless)])
def test_streams_of_another_encoder_decode_exactly(wire, tmp_path, program, syntax, bits):
    ds = source(bits)
    assert difference(wire, by_dcmtk(program, [], ds, tmp_path), ds.pixel_array, syntax) == 0


@pytest.mark.parametrize("bits", DEPTHS)
def test_jpeg_ls_near_lossless_decodes_within_its_error(wire, tmp_path, bits):
    ds = source(bits)
    expected = ds.pixel_array.copy()
    ds.compress(JPEGLSNearLossless, jls_error=3)
    assert difference(wire, write(ds, tmp_path / "a.dcm"), expected, JPEGLSNearLossless) <= 3


@pytest.mark.parametrize("bits", DEPTHS)
def test_lossy_jpeg_2000_decodes_closely(wire, tmp_path, bits):
    ds = source(bits)
    expected = ds.pixel_array.copy()
    ds.compress(JPEG2000, j2k_cr=[6])
    assert difference(wire, write(ds, tmp_path / "a.dcm"), expected, JPEG2000) <= 2 + 2**bits // 200


def test_jpeg_baseline_decodes_closely(wire, tmp_path):
    ds = source(8)
    packed = by_dcmtk("dcmcjpeg", ["+eb", "+q", "98"], ds, tmp_path)
    assert difference(wire, packed, ds.pixel_array, JPEGBaseline8Bit) <= 6


@pytest.mark.parametrize("bits", [8, 12])
def test_jpeg_extended_decodes_to_what_dcmtk_decodes(wire, tmp_path, bits):
    ds = source(bits)
    packed = by_dcmtk("dcmcjpeg", ["+ee", "+q", "98"], ds, tmp_path)
    unpacked = tmp_path / "unpacked.dcm"
    subprocess.run([require("dcmdjpeg"), str(packed), str(unpacked)], check=True, capture_output=True)
    _, expected = decoding.read(unpacked)
    assert difference(wire, packed, expected, JPEGExtended12Bit) <= 1
    assert difference(wire, packed, ds.pixel_array, JPEGExtended12Bit) <= 2**bits // 40


@pytest.mark.parametrize("bits", DEPTHS)
@pytest.mark.parametrize(
    ("kind", "syntax", "share"),
    [("lossless", HTJ2KLossless, 0), ("rpcl", HTJ2KLosslessRPCL, 0), ("lossy", HTJ2K, 0.005)],
)
def test_htj2k_decodes(wire, tmp_path, kind, syntax, share, bits):
    ds = mammogram(bits=bits, rows=htj2k_pattern.ROWS, columns=htj2k_pattern.COLUMNS)
    ds.add_new("PixelData", "OB", encapsulate([htj2k_pattern.stream(kind, bits)]))
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = syntax
    path = write(ds, tmp_path / "a.dcm")
    assert difference(wire, path, htj2k_pattern.pattern(bits), syntax) <= share * 2**bits


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_signed_values_keep_their_sign(tmp_path, syntax):
    ds = source(12)
    expected = (ds.pixel_array.astype(np.int16) - 2048).astype("<i2")
    ds.PixelRepresentation = 1
    ds.PixelData = expected.tobytes()
    if syntax != ExplicitVRLittleEndian:
        compress(ds, syntax)
    _, values = decoding.read(write(ds, tmp_path / "a.dcm"))
    assert values.min() < 0
    assert np.array_equal(values, expected)


def test_every_syntax_is_offered_once_and_lossy_ones_last():
    proven = {
        *(ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless),
        *(JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless),
        *(JPEGLSNearLossless, JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K),
    }
    assert set(transfer_syntaxes.OFFERED) == proven
    assert len(transfer_syntaxes.OFFERED) == len(proven)
    kinds = [
        0 if syntax in transfer_syntaxes.LOSSLESS else 1 if syntax in transfer_syntaxes.NATIVE else 2
        for syntax in transfer_syntaxes.OFFERED
    ]
    assert kinds == sorted(kinds)
    assert transfer_syntaxes.NATIVE[:2] == (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


def test_offering_needs_neither_network_nor_tensorflow():
    code = (
        "import sys, inference.reading.transfer_syntaxes as d; d.OFFERED; "
        "sys.exit(bool({'pynetdicom', 'tensorflow', 'highdicom'} & set(sys.modules)))"
    )
    heavy = subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2])
    assert heavy.returncode == 0


@pytest.mark.parametrize(
    "syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless, JPEGLosslessSV1, JPEGExtended12Bit]
)
def test_a_damaged_stream_is_a_failure_in_words(tmp_path, syntax):
    ds = source(12)
    ds.add_new("PixelData", "OB", encapsulate([b"\xff\xd8 this is no image " * 9]))
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = syntax
    with pytest.raises(Failed, match="could not be decoded"):
        decoding.read(write(ds, tmp_path / "a.dcm"))


def test_pixel_data_cut_short_are_a_failure(tmp_path):
    ds = source(12)
    ds.PixelData = ds.PixelData[:-1000]
    with pytest.raises(Failed, match="could not be decoded"):
        decoding.read(write(ds, tmp_path / "a.dcm"))


def test_a_header_without_pixels_is_a_failure(tmp_path):
    ds = source(12)
    del ds.PixelData
    with pytest.raises(Failed, match="no pixel data"):
        decoding.read(write(ds, tmp_path / "a.dcm"))


def test_a_text_file_is_a_failure(tmp_path):
    path = tmp_path / "a.dcm"
    path.write_text("not an image at all")
    with pytest.raises(Failed, match="not a DICOM file"):
        decoding.read(path)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "grey"),
        ({"PhotometricInterpretation": "YBR_FULL_422", "SamplesPerPixel": 3}, "grey"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "grey"),
        ({"NumberOfFrames": 2}, "frame"),
        ({"BitsAllocated": 32}, "bits"),
    ],
)
def test_other_kinds_of_pixels_are_refused(tmp_path, attributes, reason):
    with pytest.raises(Refused, match=reason):
        decoding.read(write(mammogram(**SIZE, **attributes), tmp_path / "a.dcm"))
