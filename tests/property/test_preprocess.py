"""The way there and back: what the network marks lands where it was seen."""

from typing import Literal

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from inference.analysis.breast import Breast
from inference.analysis.preprocess import Prepared, prepare
from inference.reading.pixels import Picture
from tests.support.geometry import to_source

Side = Literal["left", "right"]


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Prepared, int, int]:
    """Draw a breast box anywhere in a source of any size, and a network's input of any size."""
    rows, columns = draw(st.integers(20, 240)), draw(st.integers(20, 240))
    left, top = draw(st.integers(0, columns - 8)), draw(st.integers(0, rows - 8))
    right, bottom = draw(st.integers(left + 8, columns)), draw(st.integers(top + 8, rows))
    mask = np.zeros((rows, columns), bool)
    mask[top:bottom, left:right] = True
    wall: Side = draw(st.sampled_from(["left", "right"]))
    breast = Breast(mask=mask, box=(left, top, right, bottom), chest_wall=wall)
    grey = np.random.default_rng(rows).random((rows, columns), np.float32)
    size = draw(st.sampled_from([(32, 32), (33, 47), (61, 40), (96, 64)]))
    return prepare(Picture(grey=grey, padding=None), breast, *size), rows, columns


@given(scenes(), st.integers(3, 9), st.integers(3, 9), st.data())
def test_a_single_hot_cell_returns_within_one_source_pixel(scene, height, width, data):
    prepared, rows, columns = scene
    geometry = prepared.geometry
    cell = data.draw(st.tuples(st.integers(0, height - 1), st.integers(0, width - 1)))
    place = ((cell[1] + 0.5) * geometry.columns / width, (cell[0] + 0.5) * geometry.rows / height)
    column, row = to_source(geometry, *place)
    left, top, right, bottom = geometry.box
    assume(left <= column <= right and top <= row <= bottom)
    coarse = np.zeros((height, width), np.float32)
    coarse[cell] = 1
    whole = geometry.map_to_source(coarse)
    assert whole.shape == (rows, columns)
    hottest = np.unravel_index(int(whole.argmax()), whole.shape)
    assert abs(hottest[1] + 0.5 - column) <= 1
    assert abs(hottest[0] + 0.5 - row) <= 1


@given(scenes(), st.floats(0, 1), st.floats(0, 1))
def test_to_input_and_back_is_the_same_point(scene, across, down):
    geometry = scene[0].geometry
    left, top, right, bottom = geometry.box
    point = (left + across * (right - left), top + down * (bottom - top))
    input_point = geometry.to_input(*point)
    assert -1e-6 <= input_point[0] <= geometry.columns + 1e-6
    assert -1e-6 <= input_point[1] <= geometry.rows + 1e-6
    assert np.allclose(to_source(geometry, *input_point), point, atol=1e-6)


@given(scenes(), st.integers(1, 8), st.integers(1, 8))
def test_a_flat_map_stays_flat_in_the_crop_and_zero_outside(scene, height, width):
    geometry = scene[0].geometry
    left, top, right, bottom = geometry.box
    whole = geometry.map_to_source(np.ones((height, width), np.float32))
    inside = whole[top:bottom, left:right]
    assert inside.min() >= 0.995
    assert inside.max() <= 1 + 1e-6
    whole[top:bottom, left:right] = 0
    assert not whole.any()


@given(scenes())
def test_the_aspect_ratio_is_kept_to_a_pixel_and_the_input_is_filled_one_way(scene):
    geometry = scene[0].geometry
    left, top, right, bottom = geometry.box
    scale = min(geometry.columns / (right - left), geometry.rows / (bottom - top))
    assert abs(geometry.width - (right - left) * scale) <= 1
    assert abs(geometry.height - (bottom - top) * scale) <= 1
    assert geometry.width == geometry.columns or geometry.height == geometry.rows


@given(st.integers(20, 150), st.integers(20, 150), st.data())
def test_a_mirrored_left_breast_is_the_right_one(rows, columns, data):
    grey = np.random.default_rng(columns).random((rows, columns), np.float32)
    left, top = data.draw(st.integers(0, columns - 8)), data.draw(st.integers(0, rows - 8))
    mask = np.zeros((rows, columns), bool)
    mask[top:, left : left + 8] = True
    left_breast = Breast(mask=mask, box=(left, top, left + 8, rows), chest_wall="left")
    box = (columns - left - 8, top, columns - left, rows)
    right_breast = Breast(mask=mask[:, ::-1], box=box, chest_wall="right")
    straight = prepare(Picture(grey=grey, padding=None), left_breast, 40, 30)
    mirrored = prepare(Picture(grey=grey[:, ::-1], padding=None), right_breast, 40, 30)
    assert np.array_equal(straight.values, mirrored.values)
    coarse = np.random.default_rng(1).random((5, 4), np.float32)
    forward, back = straight.geometry.map_to_source(coarse), mirrored.geometry.map_to_source(coarse)
    assert np.allclose(forward, back[:, ::-1], atol=1e-5)
