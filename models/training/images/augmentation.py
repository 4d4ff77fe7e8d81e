"""Cut-outs of prepared images, moved a little: shift, rotation, zoom, shear and flip as one affine map each.

NumPy draws the movements from the generator that the caller passes; TensorFlow applies them in one
interpolation. It blurs, and the node's images are never blurred: a part of the cut-outs is moved without one.
What happens to the grey values is in `models.training.images.intensity`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from inference.network.engine import tf

Size: TypeAlias = tuple[int, int]
"""Rows and columns in pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How far a cut-out may be moved, each drawn evenly between minus and plus."""

    degrees: float
    shift: float
    """Share of the cut-out's rows and columns."""
    zoom: float
    shear: float
    """Radians."""
    flip: bool
    """Whether half of the cut-outs are mirrored left to right."""


WHOLE: Final = Limits(degrees=10.0, shift=0.05, zoom=0.1, shear=0.1, flip=False)
"""For whole images, as in the customer's document but not mirrored: the node turns every chest wall left."""
SHIFTED: Final = Limits(degrees=0.0, shift=0.05, zoom=0.0, shear=0.0, flip=False)
"""For whole images that must stay as sharp as they are; see `to_whole_pixels`."""
STILL: Final = Limits(degrees=0.0, shift=0.0, zoom=0.0, shear=0.0, flip=False)
"""As the node sees it."""
LESION: Final = Limits(degrees=180.0, shift=0.2, zoom=0.2, shear=0.1, flip=True)
"""For small cut-outs, which have no natural top; the lesion stays inside."""


def draw(
    generator: np.random.Generator, centres: NDArray[np.float64], size: Size, limits: Limits
) -> NDArray[np.float32]:
    """Draw one map per cut-out.

    Parameters
    ----------
    centres
        Column and row in the image that the middle of each unmoved cut-out shows: (n, 2).
    size
        Rows and columns of the cut-outs.

    Returns
    -------
    NDArray
        (n, 8): the first eight entries, row by row, of the matrices that take (column, row, 1) of the
        cut-out to (column, row, 1) of the image, as `apply` wants them.
    """
    count = len(centres)
    angle = np.deg2rad(generator.uniform(-limits.degrees, limits.degrees, count))
    slant = angle + generator.uniform(-limits.shear, limits.shear, count)
    zoom = generator.uniform(1 - limits.zoom, 1 + limits.zoom, count)
    shift = generator.uniform(-limits.shift, limits.shift, (count, 2)) * size[::-1]
    mirror = np.where(limits.flip & (generator.random(count) < 0.5), -1.0, 1.0)  # noqa: PLR2004 - half of them
    matrix = np.zeros((count, 3, 3))
    matrix[:, 0, 0], matrix[:, 0, 1] = mirror * zoom * np.cos(angle), -zoom * np.sin(slant)
    matrix[:, 1, 0], matrix[:, 1, 1] = mirror * zoom * np.sin(angle), zoom * np.cos(slant)
    matrix[:, :2, 2] = centres + shift - matrix[:, :2, :2] @ middle(size)
    return matrix.reshape(count, 9)[:, :8].astype(np.float32)


def draw_sharp(
    generator: np.random.Generator, centres: NDArray[np.float64], size: Size, limits: Limits
) -> NDArray[np.float32]:
    """Draw maps as `draw` does, of whole pixels only: quarter turns, flips and shifts, no interpolation."""
    count = len(centres)
    shift = generator.uniform(-limits.shift, limits.shift, (count, 2)) * size[::-1]
    turns = generator.integers(4, size=count)
    cosine, sine = np.array([1, 0, -1, 0])[turns], np.array([0, 1, 0, -1])[turns]
    mirror = np.where(limits.flip & (generator.random(count) < 0.5), -1.0, 1.0)  # noqa: PLR2004 - half of them
    matrix = np.zeros((count, 3, 3))
    matrix[:, 0, 0], matrix[:, 0, 1] = mirror * cosine, -sine
    matrix[:, 1, 0], matrix[:, 1, 1] = mirror * sine, cosine
    centre = middle(size)
    matrix[:, :2, 2] = np.rint(centres + shift - centre) + centre - matrix[:, :2, :2] @ centre
    return matrix.reshape(count, 9)[:, :8].astype(np.float32)


def to_whole_pixels(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Let maps from `draw` that only shift do so by whole pixels, which needs no interpolation."""
    rounded = maps.copy()
    rounded[:, [2, 5]] = np.rint(rounded[:, [2, 5]])
    return rounded


def apply(images: tf.Tensor, maps: tf.Tensor, size: Size) -> tf.Tensor:
    """Cut ``size`` out of images (n, rows, columns, 1) by maps from `draw`; outside is black."""
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=maps,
        output_shape=list(size),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


def middle(size: Size) -> NDArray[np.float64]:
    """Give the column and row of the middle of ``size``, pixel centres being whole numbers."""
    return np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
