"""Distances to the border of a place: those of SciPy, up to a limit."""

import numpy as np
import pytest
from scipy import ndimage

from inference.heatmap import outline


@pytest.mark.parametrize("limit", [1, 2, 7, 30])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (45, 60)])
@pytest.mark.parametrize("smooth", [0.5, 2.0, 6.0])
def test_distances_are_those_of_an_exact_transform(shape, smooth, limit):
    noise = ndimage.gaussian_filter(np.random.default_rng(5).random(shape), smooth)
    flags = noise > np.median(noise)
    expected = np.rint(ndimage.distance_transform_edt(flags) ** 2)
    np.testing.assert_array_equal(outline.squared_distance(flags, limit), np.minimum(expected, limit**2))


def test_distances_are_exact_up_to_the_largest_limit_and_refused_beyond():
    flags = np.ones((300, 310), bool)
    flags[150, 2] = False
    exact = np.rint(ndimage.distance_transform_edt(flags) ** 2)
    limit = outline.LARGEST_LIMIT
    np.testing.assert_array_equal(outline.squared_distance(flags, limit), np.minimum(exact, limit**2))
    with pytest.raises(ValueError, match="up to 181 pixels, not to 182"):
        outline.squared_distance(flags, limit + 1)


def test_without_a_border_all_is_as_far_as_the_limit():
    assert (outline.squared_distance(np.ones((3, 4), bool), 5) == 25).all()
