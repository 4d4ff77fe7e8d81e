import io
import struct

import numpy as np
import pytest
from PIL import Image
from pydicom import DataElement, Dataset, config
from pydicom.pixels import apply_voi_lut
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRBigEndian

from inference.errors import Failed
from inference.reading import pixels
from tests.support.mammograms import mammogram, write

ROWS, COLUMNS = 64, 64


def ramp_image(**attributes):
    """A 12-bit image that holds each of its 4,096 values once."""
    ds = mammogram(rows=ROWS, columns=COLUMNS, **attributes)
    ds.PixelData = np.arange(4096).astype("<u2").tobytes()
    return ds


def read_grey(ds, folder):
    return pixels.from_dicom(write(ds, folder / "a.dcm"))


def grey_of(ds, folder):
    return read_grey(ds, folder).grey.ravel()


def lut(first, entries, bits, name="LUTData"):
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    item.ModalityLUTType = "US"
    item.add_new("LUTData", "OW", np.asarray(entries, "<u2").tobytes())
    return item


@pytest.mark.parametrize("voi", ["window", "sigmoid", "linear_exact", "lut"])
@pytest.mark.parametrize(("centre", "width"), [("2000", "1500"), ("700.5", "1"), ("-50", "9000")])
def test_display_functions_agree_with_pydicoms(tmp_path, voi, centre, width):
    ds = ramp_image(voi=voi)
    if voi != "lut":
        ds.WindowCenter, ds.WindowWidth = centre, width
    with np.errstate(over="ignore"):
        expected = apply_voi_lut(np.arange(4096), ds) / 4095
    assert grey_of(ds, tmp_path) == pytest.approx(expected, abs=1e-6)


def test_the_linear_window_is_the_standards_formula(tmp_path):
    grey = grey_of(ramp_image(WindowCenter="2048", WindowWidth="4096"), tmp_path)
    assert grey[0] == 0
    assert grey[1] == pytest.approx(1 / 4095)
    assert grey[4095] == 1


def test_the_first_of_several_windows_is_taken(tmp_path):
    image = ramp_image(WindowCenter="1000", WindowWidth="500")
    several = ramp_image(WindowCenter=["1000", "3000"], WindowWidth=["500", "100"])
    assert np.array_equal(grey_of(image, tmp_path), grey_of(several, tmp_path))


def test_a_voi_table_goes_before_a_window(tmp_path):
    table = ramp_image(voi="lut")
    two_ways = ramp_image(voi="lut", WindowCenter="10", WindowWidth="10")
    assert np.array_equal(grey_of(table, tmp_path), grey_of(two_ways, tmp_path))


def test_values_outside_a_voi_table_take_its_ends(tmp_path):
    grey = grey_of(ramp_image(voi=None, VOILUTSequence=[lut(1000, [0, 100, 1023], 10)]), tmp_path)
    assert grey[[0, 999, 1000]].tolist() == [0, 0, 0]
    assert grey[1001] == pytest.approx(100 / 1023)
    assert grey[[1002, 4095]].tolist() == [1, 1]


def test_a_voi_table_may_start_below_zero(tmp_path):
    ds = ramp_image(voi=None, RescaleIntercept="-2000", VOILUTSequence=[lut(65536 - 1000, [0, 255], 8)])
    grey = grey_of(ds, tmp_path)
    assert grey[[999, 1000]].tolist() == [0, 0]
    assert grey[1001] == 1


def test_rescale_comes_before_the_window(tmp_path):
    plain = ramp_image(WindowCenter="2000", WindowWidth="1000")
    scaled = ramp_image(WindowCenter="900", WindowWidth="500.5", RescaleSlope="0.5", RescaleIntercept="-100")
    assert grey_of(scaled, tmp_path) == pytest.approx(grey_of(plain, tmp_path), abs=1e-3)


def test_a_modality_table_comes_before_the_window(tmp_path):
    ds = ramp_image(WindowCenter="2048", WindowWidth="4096", RescaleSlope=None, RescaleIntercept=None)
    del ds.RescaleType
    ds.ModalityLUTSequence = [lut(0, np.arange(4096)[::-1], 12)]
    assert grey_of(ds, tmp_path) == pytest.approx(1 - np.arange(4096) / 4095, abs=1e-6)


def test_monochrome1_looks_like_monochrome2(tmp_path):
    bright = mammogram("L", "MLO", photometric="MONOCHROME2", lesion=True)
    dark = mammogram("L", "MLO", photometric="MONOCHROME1", lesion=True)
    assert read_grey(dark, tmp_path).grey == pytest.approx(read_grey(bright, tmp_path).grey, abs=1e-3)


@pytest.mark.parametrize(
    ("photometric", "shape", "rises"),
    [
        ("MONOCHROME2", "IDENTITY", True),
        ("MONOCHROME2", "INVERSE", False),
        ("MONOCHROME2", None, True),
        ("MONOCHROME1", "INVERSE", False),
        ("MONOCHROME1", "IDENTITY", True),
        ("MONOCHROME1", None, False),
    ],
)
def test_presentation_lut_shape_decides_and_photometric_only_without_it(tmp_path, photometric, shape, rises):
    grey = grey_of(ramp_image(PhotometricInterpretation=photometric, PresentationLUTShape=shape), tmp_path)
    assert (grey[-1] > grey[0]) == rises


@pytest.mark.parametrize(("value", "limit"), [(0, 9), (9, 0), (5, None), (0, 0)])
def test_padding_is_black_and_told_apart(tmp_path, value, limit):
    ds = ramp_image(PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE")
    ds.PixelPaddingValue = value
    if limit is not None:
        ds.PixelPaddingRangeLimit = limit
    picture = read_grey(ds, tmp_path)
    low, high = sorted((value, value if limit is None else limit))
    assert np.flatnonzero(picture.padding).tolist() == list(range(low, high + 1))
    assert not picture.grey[picture.padding].any()
    assert picture.grey.ravel()[high + 1] > 0.9


def test_padding_that_does_not_occur_is_none(tmp_path):
    ds = ramp_image(PixelPaddingValue=4095)
    ds.PixelData = np.full(4096, 7, "<u2").tobytes()
    assert read_grey(ds, tmp_path).padding is None


def test_signed_values_look_like_unsigned_ones(tmp_path):
    signed = ramp_image(WindowCenter="100", WindowWidth="1000", PixelRepresentation=1)
    signed.PixelData = np.arange(-2048, 2048).astype("<i2").tobytes()
    unsigned = ramp_image(WindowCenter="2148", WindowWidth="1000")
    assert np.array_equal(grey_of(signed, tmp_path), grey_of(unsigned, tmp_path))


def test_without_window_the_tails_are_cut_and_padding_does_not_count(tmp_path):
    ds = ramp_image(voi=None, PixelPaddingValue=0)
    ds.PixelData = np.repeat([0, 1000, 2000, 3000], 1024).astype("<u2").tobytes()
    assert grey_of(ds, tmp_path)[::1024].tolist() == [0, 0, 0.5, 1]


def test_an_image_of_one_value_is_black(tmp_path):
    ds = ramp_image(voi=None)
    ds.PixelData = np.full(4096, 77, "<u2").tobytes()
    assert not read_grey(ds, tmp_path).grey.any()


def test_a_window_without_width_is_not_believed(tmp_path):
    assert grey_of(ramp_image(WindowCenter="5", WindowWidth="0"), tmp_path).std() > 0.2


def damaged_table(damage):
    item = lut(0, np.arange(100), 12)
    if damage == "short":
        item.add_new("LUTData", "OW", bytes(20))
    elif damage == "bits":
        item.add_new("LUTDescriptor", "US", [100, 0, 99])
    elif damage == "no bits":
        item.add_new("LUTDescriptor", "US", [100, 0, 0])
    elif damage == "descriptor":
        item.add_new("LUTDescriptor", "US", [100, 0])
    else:
        del item.LUTData
    return item


DAMAGES = ["short", "bits", "no bits", "descriptor", "no data"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_table_alone_is_a_failure(tmp_path, damage):
    with pytest.raises(Failed, match="table"):
        read_grey(ramp_image(voi=None, VOILUTSequence=[damaged_table(damage)]), tmp_path)


@pytest.mark.parametrize("damage", DAMAGES)
def test_where_a_table_is_damaged_the_window_is_taken(tmp_path, damage):
    window = {"WindowCenter": "1000", "WindowWidth": "500"}
    two_ways = ramp_image(VOILUTSequence=[damaged_table(damage)], **window)
    assert np.array_equal(grey_of(two_ways, tmp_path), grey_of(ramp_image(**window), tmp_path))


def test_an_empty_item_is_no_table(tmp_path):
    empty = ramp_image(voi=None, VOILUTSequence=[Dataset()])
    assert np.array_equal(grey_of(empty, tmp_path), grey_of(ramp_image(voi=None), tmp_path))


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_a_table_with_other_bits_than_its_data_is_scaled_by_its_maximum(tmp_path, bits):
    ds = ramp_image(voi=None, VOILUTSequence=[lut(0, np.arange(4096), bits)])
    assert grey_of(ds, tmp_path) == pytest.approx(np.arange(4096) / 4095, abs=1e-6)


def test_a_table_one_entry_short_is_used_as_long_as_it_is(tmp_path):
    item = lut(0, np.arange(4095), 12)
    item.add_new("LUTDescriptor", "US", [4096, 0, 12])
    grey = grey_of(ramp_image(voi=None, VOILUTSequence=[item]), tmp_path)
    assert grey[:4095] == pytest.approx(np.arange(4095) / 4095, abs=1e-6)


def test_tables_of_big_endian_files_are_read_in_their_order(tmp_path):
    little = ramp_image(voi=None, VOILUTSequence=[lut(0, np.arange(4096), 12)])
    big = ramp_image(voi=None, VOILUTSequence=[lut(0, np.arange(4096), 12)])
    big.PixelData = np.arange(4096).astype(">u2").tobytes()
    big.VOILUTSequence[0].LUTData = np.arange(4096).astype(">u2").tobytes()
    big.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    assert np.array_equal(grey_of(big, tmp_path), grey_of(little, tmp_path))


@pytest.mark.parametrize(
    "attributes",
    [
        {"RescaleSlope": "NaN"},
        {"RescaleIntercept": "NaN"},
        {"RescaleIntercept": "inf"},
        {"RescaleSlope": "0"},
        {"RescaleSlope": "1,5"},
        {"RescaleSlope": "1\\2"},
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_is_no_number_counts_as_absent(tmp_path, attributes):
    ds = ramp_image(WindowCenter="2048", WindowWidth="4096")
    for keyword, value in attributes.items():
        ds[keyword] = DataElement(Tag(keyword), "LO", value, validation_mode=config.IGNORE)
    path = write(ds, tmp_path / "a.dcm")
    data = path.read_bytes()
    for keyword in attributes:
        tag = struct.pack("<HH", Tag(keyword).group, Tag(keyword).element)
        data = data.replace(tag + b"LO", tag + b"DS")
    path.write_bytes(data)
    plain = ramp_image(WindowCenter="2048", WindowWidth="4096")
    assert np.array_equal(pixels.from_dicom(path).grey.ravel(), grey_of(plain, tmp_path))


@pytest.mark.parametrize("window", [("NaN", "4096"), ("2048", "NaN"), ("inf", "1")])
@pytest.mark.filterwarnings("ignore")
def test_a_window_that_is_no_number_is_none(tmp_path, window):
    ds = ramp_image(WindowCenter=window[0], WindowWidth=window[1])
    assert np.array_equal(grey_of(ds, tmp_path), grey_of(ramp_image(voi=None), tmp_path))


def test_the_first_of_two_padding_values_counts(tmp_path):
    ds = ramp_image(PixelPaddingValue=[5, 7])
    assert np.flatnonzero(read_grey(ds, tmp_path).padding).tolist() == [5]


@pytest.mark.parametrize(
    ("keyword", "words"),
    [("PixelRepresentation", "0028,0103"), ("SamplesPerPixel", "0028,0002"), ("BitsStored", "Bits Stored")],
)
def test_a_missing_description_of_pixels_is_named(tmp_path, keyword, words):
    with pytest.raises(Failed, match=words):
        read_grey(ramp_image(**{keyword: None}), tmp_path)


def test_bits_above_bits_stored_do_not_count(tmp_path):
    clean = ramp_image()
    littered = ramp_image()
    littered.PixelData = (np.arange(4096) | 0x4000).astype("<u2").tobytes()
    assert np.array_equal(grey_of(littered, tmp_path), grey_of(clean, tmp_path))


def saved(image, path):
    image.save(path)
    return path


def test_image_files_of_8_bits(tmp_path):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    picture = pixels.from_image_file(saved(Image.fromarray(values), tmp_path / "a.png"))
    assert picture.grey == pytest.approx(values / 255, abs=1e-6)
    assert picture.grey.dtype == np.float32
    assert picture.padding is None


@pytest.mark.parametrize(("highest", "full"), [(4000, 4095), (16000, 16383), (65000, 65535)])
def test_image_files_of_16_bits_are_scaled_by_their_depth(tmp_path, highest, full):
    values = np.linspace(0, highest, 256).astype(np.uint16).reshape(16, 16)
    picture = pixels.from_image_file(saved(Image.fromarray(values), tmp_path / "a.png"))
    assert picture.grey == pytest.approx(values / full, abs=1e-4)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "1"])
def test_image_files_of_other_kinds_become_grey(tmp_path, mode):
    image = Image.fromarray(np.full((8, 8), 255, np.uint8)).convert(mode)
    assert pixels.from_image_file(saved(image, tmp_path / "a.png")).grey == pytest.approx(np.ones((8, 8)))


def test_jpeg_files_are_read(tmp_path):
    path = saved(Image.fromarray(np.full((8, 8), 128, np.uint8)), tmp_path / "a.jpg")
    assert pixels.from_image_file(path).grey == pytest.approx(np.full((8, 8), 128 / 255), abs=0.01)


@pytest.mark.parametrize("content", [b"", b"hello", b"BM" + bytes(60)])
def test_other_files_are_a_failure(tmp_path, content):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(Failed, match="neither DICOM nor a PNG or JPEG"):
        pixels.from_image_file(path)


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_an_image_file_cut_short_is_a_failure(tmp_path, form):
    noise = np.random.default_rng(0).integers(0, 255, (200, 200), np.uint8)
    whole = io.BytesIO()
    Image.fromarray(noise).save(whole, form)
    path = tmp_path / "a.png"
    path.write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    with pytest.raises(Failed, match="could not be decoded"):
        pixels.from_image_file(path)
