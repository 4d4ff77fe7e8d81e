import numpy as np
import pytest
from scipy import ndimage

from inference.analysis import breast
from inference.analysis.breast import Breast
from inference.analysis.preprocess import prepare
from inference.reading import pixels
from inference.reading.pixels import Picture
from tests.support.geometry import to_source
from tests.support.mammograms import lesion_centre, mammogram, write


def picture_of(ds, folder):
    return pixels.from_dicom(write(ds, folder / "a.dcm"))


def boxed(rows, columns, box, wall="left"):
    mask = np.zeros((rows, columns), bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return Breast(mask=mask, box=box, chest_wall=wall)


def textured(rows, columns, low=0.0, high=1.0, gamma=1.0):
    grey = ndimage.gaussian_filter(np.random.default_rng(3).random((rows, columns)), 2)
    grey = (grey - grey.min()) / (grey.max() - grey.min())
    return Picture(grey=(low + (high - low) * grey**gamma).astype(np.float32), padding=None)


@pytest.mark.parametrize(("rows", "columns"), [(101, 77), (640, 511), (333, 640)])
@pytest.mark.parametrize("wall", ["left", "right"])
@pytest.mark.parametrize("border", ["left", "top", "right", "bottom", "all", "none"])
def test_every_hot_cell_returns_to_its_place(rows, columns, wall, border):
    left = 0 if border in {"left", "all"} else 13
    top = 0 if border in {"top", "all"} else 17
    right = columns if border in {"right", "all"} else columns - 11
    bottom = rows if border in {"bottom", "all"} else rows - 7
    prepared = prepare(
        textured(rows, columns), boxed(rows, columns, (left, top, right, bottom), wall), 121, 97
    )
    geometry, cells = prepared.geometry, (8, 6)
    for row, column in np.ndindex(cells):
        x, y = to_source(geometry, (column + 0.5) * 97 / cells[1], (row + 0.5) * 121 / cells[0])
        if not (left <= x <= right and top <= y <= bottom):
            continue
        coarse = np.zeros(cells, np.float32)
        coarse[row, column] = 1
        hot = np.unravel_index(int(geometry.map_to_source(coarse).argmax()), (rows, columns))
        assert abs(hot[1] + 0.5 - x) <= 1
        assert abs(hot[0] + 0.5 - y) <= 1


@pytest.mark.parametrize("laterality", ["L", "R"])
@pytest.mark.parametrize(("rows", "columns"), [(640, 512), (641, 479), (1023, 767)])
def test_the_input_shows_a_spot_where_the_geometry_says(tmp_path, laterality, rows, columns):
    picture = picture_of(mammogram(laterality, "CC", rows=rows, columns=columns), tmp_path)
    outline = breast.find(picture)
    column, row = (round(value) for value in lesion_centre(laterality, rows=rows, columns=columns))
    spotted = picture.grey.copy()
    spotted[row - 4 : row + 4, column - 4 : column + 4] = 0
    prepared = prepare(Picture(grey=spotted, padding=None), outline, 244, 244)
    change = prepare(picture, outline, 244, 244).values[..., 0] - prepared.values[..., 0]
    y, x = ndimage.center_of_mass(np.where(change > 0.2, change, 0))
    assert (x + 0.5, y + 0.5) == pytest.approx(prepared.geometry.to_input(column, row), abs=0.7)


def test_the_chest_wall_is_on_the_left_and_the_background_zero(tmp_path):
    for laterality in ("L", "R"):
        picture = picture_of(mammogram(laterality, "MLO"), tmp_path)
        values = prepare(picture, breast.find(picture), 200, 160).values
        assert values.shape == (200, 160, 1)
        assert values.dtype == np.float32
        assert values[:, 0].mean() > 0.2
        assert not values[:, -1].any()
        assert 0 <= values.min() <= values.max() <= 1


@pytest.mark.parametrize(("low", "high", "gamma"), [(0.1, 0.4, 1.0), (0.5, 0.99, 1.0), (0.0, 1.0, 2.0)])
def test_scanners_come_to_look_alike(low, high, gamma):
    place = boxed(160, 128, (10, 10, 110, 150))
    first = prepare(textured(160, 128), place, 96, 96).values[..., 0]
    second = prepare(textured(160, 128, low, high, gamma), place, 96, 96).values[..., 0]
    inside = first > 0
    assert np.abs(first - second)[inside].mean() < 0.03
    assert np.median(second[inside]) == pytest.approx(0.45, abs=0.03)


def test_order_of_brightness_is_kept():
    rising = Picture(grey=np.tile(np.linspace(0.2, 0.9, 100, dtype=np.float32), (80, 1)), padding=None)
    line = prepare(rising, boxed(80, 100, (0, 0, 100, 80)), 80, 100).values[40, :, 0]
    assert (np.diff(line) >= -1e-6).all()
    assert line[-1] - line[0] > 0.9


def test_what_lies_outside_the_mask_does_not_shine_in():
    picture = textured(100, 80)
    mask = np.zeros((100, 80), bool)
    mask[:, :30] = True
    place = Breast(mask=mask, box=(0, 0, 60, 100), chest_wall="left")
    label = Picture(grey=np.where(mask, picture.grey, np.float32(1)), padding=None)
    dark = Picture(grey=np.where(mask, picture.grey, np.float32(0)), padding=None)
    first, second = prepare(label, place, 100, 60), prepare(dark, place, 100, 60)
    assert np.array_equal(first.values, second.values)
    assert not first.values[:, 32:].any()


def test_a_breast_of_one_value_gives_zeros_and_no_error():
    flat = Picture(grey=np.full((40, 40), 0.5, np.float32), padding=None)
    assert not prepare(flat, boxed(40, 40, (0, 0, 20, 40)), 32, 32).values.any()


def test_the_same_picture_gives_the_same_bytes(tmp_path):
    picture = picture_of(mammogram("L", "MLO"), tmp_path)
    first = prepare(picture, breast.find(picture), 244, 244).values.tobytes()
    assert prepare(picture, breast.find(picture), 244, 244).values.tobytes() == first
