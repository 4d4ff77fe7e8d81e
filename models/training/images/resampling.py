"""Sharpness of prepared images, changed as archives change it: fewer rows, other kernels, noise, a rim.

A source of few pixels looks soft, one that was enlarged by repeating pixels shows blocks, and a network that
meets each scanner in one sharpness alone learns sharpness. Here every source loses rows at random, and comes
back by a kernel at random. Noise is added where the rows are few, so that its grain is as coarse as theirs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Resampling

FEWEST: Final = 256
"""Rows to which an image is reduced at most; an RSNA image of the training data has no more."""
UNTOUCHED: Final = 0.2
"""Share of the images that keep all rows."""
NOISY: Final = 0.5
NOISE: Final = 0.03
"""Largest standard deviation of the noise, of white = 1: what `robustness` disturbs images with."""
RIMMED: Final = 0.15
"""Share of the images with a white strip along one edge, as masking leaves it on film now and then."""
RIM: Final = (0.005, 0.04)
"""Limits of the strip's width, as a share of the image's rows."""
KERNELS: Final = (Resampling.BOX, Resampling.BILINEAR, Resampling.BICUBIC, Resampling.LANCZOS)
"""For fewer rows, all but the first wider than a pixel of the result; BOX is the average of the area."""
BACK: Final = (Resampling.NEAREST, Resampling.BILINEAR, Resampling.BICUBIC)
"""For all rows again; NEAREST repeats pixels and leaves blocks."""

_WHITE: Final = 255


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """What happens to one image."""

    share: float
    """Of rows and columns that are kept; 1: all."""
    down: Resampling
    back: Resampling
    noise: float
    """Standard deviation, of white = 1."""
    seed: int
    """Of the noise."""
    edge: int | None
    """Which edge has a strip: 0 the chest wall, 1 the top, 2 the bottom; None: none has."""
    width: float
    """Of the strip, as a share of the rows."""


def draw(generator: np.random.Generator, count: int, *, rows: int) -> list[Passage]:
    """Draw passages for ``count`` images of ``rows`` rows; sizes are drawn evenly on a logarithmic scale."""
    fewest = min(1.0, FEWEST / rows)
    return [
        Passage(
            share=1.0 if generator.random() < UNTOUCHED else math.exp(generator.uniform(math.log(fewest), 0)),
            down=KERNELS[generator.integers(len(KERNELS))],
            back=BACK[generator.integers(len(BACK))],
            noise=generator.uniform(0, NOISE) if generator.random() < NOISY else 0.0,
            seed=int(generator.integers(1 << 30)),
            edge=int(generator.integers(3)) if generator.random() < RIMMED else None,
            width=generator.uniform(*RIM),
        )
        for _ in range(count)
    ]


def apply(image: NDArray[np.uint8], passage: Passage) -> NDArray[np.uint8]:
    """Take a prepared ``image`` (rows, columns) through ``passage``; what is 0 stays 0."""
    rows, columns = image.shape
    picture = Image.fromarray(_rimmed(image, passage))
    small = max(1, round(columns * passage.share)), max(1, round(rows * passage.share))
    if passage.share < 1:
        picture = picture.resize(small, passage.down)
    if passage.noise:
        picture = Image.fromarray(_noisy(np.asarray(picture), passage))
    if passage.share < 1:
        picture = picture.resize((columns, rows), passage.back)
    return np.where(image > 0, np.asarray(picture), np.uint8(0))


def _rimmed(image: NDArray[np.uint8], passage: Passage) -> NDArray[np.uint8]:
    """Paint the strip over the breast alone, from the first row or column that shows it."""
    filled = np.flatnonzero(image.any(axis=1))
    if passage.edge is None or not filled.size:
        return image
    width = max(1, round(passage.width * image.shape[0]))
    top, bottom = int(filled[0]), int(filled[-1]) + 1
    strip = (slice(None, width), slice(top, top + width), slice(bottom - width, bottom))[passage.edge]
    rimmed = image.copy()
    part = rimmed[:, strip] if passage.edge == 0 else rimmed[strip]
    part[part > 0] = _WHITE
    return rimmed


def _noisy(image: NDArray[np.uint8], passage: Passage) -> NDArray[np.uint8]:
    grain = np.random.default_rng(passage.seed).standard_normal(image.shape, np.float32)
    return np.asarray(np.clip(np.rint(image + grain * (passage.noise * _WHITE)), 0, _WHITE), np.uint8)
