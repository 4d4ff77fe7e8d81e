"""How sharpness is changed, and what stays."""

import dataclasses

import numpy as np
from PIL.Image import Resampling

from models.training.images import resampling
from models.training.images.resampling import Passage

ROWS, COLUMNS = 768, 96
UNCHANGED = Passage(
    share=1.0, down=Resampling.BOX, back=Resampling.NEAREST, noise=0.0, seed=1, edge=None, width=0.02
)


def breast():
    """Draw noise in the upper left, black elsewhere."""
    image = np.zeros((ROWS, COLUMNS), np.uint8)
    image[100:600, :60] = np.random.default_rng(3).integers(1, 256, (500, 60))
    return image


def changed(**changes):
    return resampling.apply(breast(), dataclasses.replace(UNCHANGED, **changes))


def test_an_image_that_keeps_all_rows_stays_as_it_is():
    np.testing.assert_array_equal(changed(), breast())


def test_the_background_stays_black_whatever_happens():
    for passage in resampling.draw(np.random.default_rng(2), 60, rows=ROWS):
        assert not resampling.apply(breast(), passage)[breast() == 0].any()


def test_pixels_that_are_repeated_leave_blocks_of_the_average():
    inside = changed(share=1 / 4)[120:580, 4:56]
    blocks = inside.reshape(115, 4, 13, 4)
    assert (blocks == blocks[:, :1, :, :1]).all()
    means = breast()[120:580, 4:56].reshape(115, 4, 13, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(blocks[:, 0, :, 0], means, atol=1.01)


def test_noise_has_the_grain_of_the_rows_that_were_left():
    flat = np.full((ROWS, COLUMNS), 128, np.uint8)
    fine = resampling.apply(flat, dataclasses.replace(UNCHANGED, noise=0.03))
    coarse = resampling.apply(flat, dataclasses.replace(UNCHANGED, noise=0.03, share=1 / 3))
    assert abs(fine.std() / 255 - 0.03) < 0.002
    assert abs(coarse.std() / 255 - 0.03) < 0.002
    assert np.diff(fine.astype(float), axis=1).std() > 1.4 * np.diff(coarse.astype(float), axis=1).std()


def test_a_strip_lies_along_its_edge_of_the_breast_alone():
    wall, top, bottom = (changed(edge=edge) != breast() for edge in range(3))
    assert set(np.flatnonzero(wall.any(axis=0))) <= set(range(15))
    assert set(np.flatnonzero(top.any(axis=1))) <= set(range(100, 115))
    assert set(np.flatnonzero(bottom.any(axis=1))) <= set(range(585, 600))
    assert (changed(edge=1)[100:115, :60] == 255).all()


def test_every_kernel_and_every_size_is_drawn():
    drawn = resampling.draw(np.random.default_rng(2), 2000, rows=ROWS)
    shares = np.array([passage.share for passage in drawn])
    assert {passage.down for passage in drawn} == set(resampling.KERNELS)
    assert {passage.back for passage in drawn} == set(resampling.BACK)
    assert {passage.edge for passage in drawn} == {None, 0, 1, 2}
    assert shares.min() * ROWS >= resampling.FEWEST
    assert shares.min() * ROWS < 1.1 * resampling.FEWEST
    assert abs((shares == 1).mean() - resampling.UNTOUCHED) < 0.05
    assert max(passage.noise for passage in drawn) <= resampling.NOISE
