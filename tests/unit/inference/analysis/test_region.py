import numpy as np
import pytest
from scipy import ndimage

from inference.analysis import region
from inference.analysis.breast import Breast


def blob(rows, columns, column, row, across, down, angle=0.0):
    y, x = np.mgrid[0:rows, 0:columns] + 0.5
    u = (x - column) * np.cos(angle) + (y - row) * np.sin(angle)
    v = -(x - column) * np.sin(angle) + (y - row) * np.cos(angle)
    return np.exp(-((u / across) ** 2) - (v / down) ** 2).astype(np.float32)


def whole(map_):
    return np.ones(map_.shape, bool)


def located(heat, breast):
    trace = region.locate(heat, breast)
    return trace.peak, next(iter(trace.regions), None)


def lengths(spot):
    first, second, third, fourth = (np.array(point) for point in spot.ellipse)
    return np.linalg.norm(second - first), np.linalg.norm(fourth - third)


def test_a_round_blob_gives_a_circle_around_it():
    heat = blob(401, 301, 120.0, 200.0, 50, 50)
    peak, spot = located(heat, whole(heat))
    assert peak == pytest.approx((120, 200), abs=1)
    assert spot.center == pytest.approx((120, 200), abs=0.5)
    radius = 50 * np.sqrt(
        np.log(2)
    )  # where the blob falls to a half; two sigmas of a full disc are its radius
    assert lengths(spot) == pytest.approx((2 * radius, 2 * radius), abs=1.5)
    assert 0.5 < spot.mean_activation < 1


def test_the_major_axis_comes_first_and_follows_the_blob():
    heat = blob(500, 500, 250, 250, 120, 40, angle=np.pi / 6)
    _, spot = located(heat, whole(heat))
    major, minor = lengths(spot)
    assert major == pytest.approx(3 * minor, rel=0.05)
    along = np.subtract(spot.ellipse[1], spot.ellipse[0]) / major
    assert abs(along @ [np.cos(np.pi / 6), np.sin(np.pi / 6)]) > 0.999


def test_points_are_half_pixels_within_the_image():
    heat = blob(200, 150, 3, 197, 60, 30)
    _, spot = located(heat, whole(heat))
    for column, row in (spot.center, *spot.ellipse):
        assert (2 * column).is_integer()
        assert (2 * row).is_integer()
        assert 0 <= column <= 150
        assert 0 <= row <= 200


def test_the_largest_area_wins_the_hottest_pixel_stays_the_peak():
    heat = np.maximum(blob(300, 300, 60, 60, 10, 10), 0.8 * blob(300, 300, 200, 200, 40, 40))
    peak, spot = located(heat, whole(heat))
    assert peak == pytest.approx((60, 60), abs=1)
    assert spot.center == pytest.approx((200, 200), abs=1)


@pytest.mark.parametrize("value", [0.0, 1.0, 7.5, np.nan, np.inf])
def test_a_map_that_says_nothing_has_no_region_and_peaks_in_the_middle_of_the_breast(value):
    breast = np.zeros((100, 80), bool)
    breast[20:60, 10:30] = True
    assert located(np.full((100, 80), value, np.float32), breast) == ((20.0, 40.0), None)


def test_a_single_hot_pixel_has_a_region_at_its_place():
    heat = np.zeros((3000, 2001), np.float32)
    heat[1234, 567] = 3
    peak, spot = located(heat, whole(heat))
    assert peak == (567.5, 1234.5)
    assert spot.center == (567.5, 1234.5)
    assert spot.mean_activation == 1


def test_scaling_the_map_changes_nothing():
    heat = blob(300, 200, 80, 120, 40, 25)
    assert located(1000 * heat, whole(heat))[0] == located(heat, whole(heat))[0]
    many, few = located(1000 * heat, whole(heat))[1], located(heat, whole(heat))[1]
    assert many.ellipse == few.ellipse
    assert many.mean_activation == pytest.approx(few.mean_activation, rel=1e-5)


def test_a_large_map_gives_what_a_full_grid_gives(monkeypatch):
    heat = blob(2600, 2100, 900, 1500, 300, 150, angle=0.4)
    _, coarse = located(heat, whole(heat))
    monkeypatch.setattr(region, "_GRID", 10_000)
    _, fine = located(heat, whole(heat))
    assert np.allclose(coarse.ellipse, fine.ellipse, atol=1)
    assert coarse.mean_activation == pytest.approx(fine.mean_activation, abs=0.002)


def test_every_hot_spot_is_told_the_largest_first():
    heat = np.maximum(blob(300, 300, 60, 60, 10, 10), 0.8 * blob(300, 300, 200, 200, 40, 40))
    heat = np.maximum(heat, 0.4 * blob(300, 300, 60, 220, 40, 40))
    trace = region.locate(heat, whole(heat))
    assert np.allclose(trace.spots, ((200, 200), (60, 60)), atol=1)
    assert np.allclose([place.center for place in trace.regions], trace.spots, atol=1)
    assert trace.at_the_border == 0


def half_disc(size=400):
    """A breast that is cut by the picture's left border."""
    y, x = np.mgrid[0:size, 0:size]
    return x**2 + (y - size / 2) ** 2 < (0.45 * size) ** 2


def test_a_spot_on_the_breasts_outline_is_none():
    on_skin, inside = blob(400, 400, 178, 200, 6, 6), blob(400, 400, 60, 260, 20, 20)
    trace = region.locate(np.maximum(on_skin, inside) * half_disc(), half_disc())
    assert trace.spots == ((60.5, 260.5),)
    assert trace.at_the_border == 1
    assert trace.regions[0].center == pytest.approx((60, 260), abs=1)
    alone = region.locate(on_skin * half_disc(), half_disc())
    assert (alone.regions, alone.spots, alone.at_the_border) == ((), (), 1)


def test_a_spot_at_the_chest_wall_counts():
    trace = region.locate(blob(400, 400, 2, 200, 8, 8), half_disc())
    assert np.allclose(trace.spots, ((2, 200),), atol=1)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_nipple_is_the_point_farthest_from_the_chest_wall(side):
    mask = half_disc() if side == "left" else half_disc()[:, ::-1]
    columns = np.flatnonzero(mask.any(axis=0))
    box = (int(columns[0]), 20, int(columns[-1]) + 1, 380)
    landmarks = region.landmarks(Breast(mask=mask, box=box, chest_wall=side))
    assert landmarks.nipple == pytest.approx((180 if side == "left" else 220, 200), abs=2)
    assert landmarks.depth == 180
    assert landmarks.chest_wall == side


@pytest.mark.parametrize("corner", [(0, 0), (1, 2), (7, 30), (250, 3)])
@pytest.mark.parametrize("shape", [(600, 500), (2300, 1500)])
def test_a_part_of_a_map_with_the_whole_breast_gives_the_same(corner, shape):
    left, top = corner
    breast = np.zeros(shape, bool)
    breast[top + 5 : 560, left + 5 : 480] = True
    noise = ndimage.gaussian_filter(np.random.default_rng(3).random(shape).astype(np.float32), 25)
    heat = np.where(breast, (noise - noise.min()) ** 4, 0)
    part = np.ascontiguousarray(heat[top:580, left:490])
    assert region.locate(part, breast, corner) == region.locate(heat, breast)


def test_a_place_smaller_than_the_grid_is_found_in_a_part_of_a_map_too():
    breast = np.zeros((3000, 2000), bool)
    breast[100:2000, 50:1900] = True
    heat = np.zeros(breast.shape, np.float32)
    heat[1000, 1000] = 1
    assert region.locate(heat[91:2010, 41:1910], breast, (41, 91)) == region.locate(heat, breast)
