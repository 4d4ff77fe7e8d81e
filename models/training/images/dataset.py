"""Prepared images as tf.data batches: whole images and lesion cut-outs for training, plain for prediction."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from inference.findings import CLASSES
from inference.network.engine import tf
from models.training.images import augmentation, intensity, lesions
from models.training.images.augmentation import Size
from models.training.images.balance import balance
from models.training.images.intensity import Spread
from models.training.sources.labels import Box, Example

_APART: Final = 1.1
"""Sides between a lesion and a place without one: turned and shifted, it must not show the lesion."""
_REACH: Final = 2.2
"""Sides of the window that a cut-out is read from: however a cut-out is moved, it stays inside."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Cuts:
    """One epoch, in order; all of length n, a multiple of the batch."""

    positions: NDArray[np.int64]
    """Which image."""
    corners: NDArray[np.int64]
    """Column and row of the image where the window begins that is read of it: (n, 2)."""
    window: Size
    """Rows and columns of the window."""
    maps: NDArray[np.float32]
    """Which part of the window, moved how: (n, 8), from `augmentation.draw`."""
    size: Size
    """Rows and columns of the cut-outs."""
    grey: NDArray[np.float32] | None
    """How the grey values change: (n, 6), from `intensity.draw`; None where they stay."""
    target: NDArray[np.float32]
    """1 for each class that the label leaves open: (n, classes)."""
    log_share: NDArray[np.float32]
    """See `balance.Balance`: (n, classes)."""
    weight: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrainingSet:
    """What one fold trains on, all in the same order."""

    images: NDArray[np.uint8]
    """Shape (all, rows, columns); usually a memory map, read batch by batch."""
    positions: NDArray[np.int64]
    """Which of ``images``."""
    examples: tuple[Example, ...]
    lesions: tuple[tuple[Box, ...], ...]
    """In pixels of the prepared image."""


def whole_images(
    data: TrainingSet,
    generator: np.random.Generator,
    *,
    batch: int,
    limits: augmentation.Limits,
) -> Cuts:
    """Draw one epoch of whole images, each once; what fills no batch is left out."""
    size = data.images.shape[1], data.images.shape[2]
    order = generator.permutation(len(data.examples))
    order = order[: len(order) // batch * batch]
    centres = np.tile(augmentation.middle(size), (len(order), 1))
    balanced = balance(data.examples)
    return Cuts(
        positions=data.positions[order],
        corners=np.zeros((len(order), 2), np.int64),
        window=size,
        maps=augmentation.draw(generator, centres, size, limits),
        size=size,
        grey=None,
        target=np.array([data.examples[number].target for number in order], np.float32),
        log_share=balanced.log_share[order],
        weight=balanced.weight[order],
    )


def lesion_cuts(
    data: TrainingSet,
    generator: np.random.Generator,
    *,
    batch: int,
    batches: int,
    side: int,
    healthy: float = 0.0,
    spread: Spread | None = None,
) -> Cuts:
    """Draw ``batches`` of square cut-outs: each lesion with one place of the same image where there is none.

    Malignant and other lesions are equally frequent, and a lesion and its counterpart come from one image, so
    that neither the scanner nor the kind of breast says which is which. A place without lesion is Normal.

    Parameters
    ----------
    healthy
        Share of cut-outs that are tissue of Normal images, from the sources that show lesions too.
    """
    total = batches * batch
    normal = round(total * healthy / 2) * 2
    places = lesions.pairs(data, generator, (total - normal) // 2, distance=side * _APART)
    places += lesions.normal_tissue(data, generator, normal)
    if normal:
        places = [places[number] for number in generator.permutation(total)]
    centres = np.array([place.centre for place in places])
    window = math.ceil(side * _REACH)
    corners = np.rint(centres - (window - 1) / 2).astype(np.int64)
    return Cuts(
        positions=data.positions[[place.example for place in places]],
        corners=corners,
        window=(window, window),
        maps=_moves(generator, centres - corners, side),
        size=(side, side),
        grey=None if spread is None else intensity.draw(generator, total, spread),
        target=np.array([place.target for place in places], np.float32),
        log_share=np.zeros((total, len(CLASSES)), np.float32),
        weight=np.ones(total, np.float32),
    )


def stream(images: NDArray[np.uint8], cuts: Cuts, *, batch: int) -> tf.data.Dataset:
    """Make tf.data batches of (images, target, log_share, weight) from one epoch."""
    grey = np.zeros((len(cuts.positions), 0), np.float32) if cuts.grey is None else cuts.grey

    def pieces() -> Iterator[tuple[NDArray[Any], ...]]:
        for start in range(0, len(cuts.positions), batch):
            part = slice(start, start + batch)
            windows = [
                _window(images[position], corner, cuts.window)
                for position, corner in zip(cuts.positions[part], cuts.corners[part], strict=True)
            ]
            columns = (cuts.maps, grey, cuts.target, cuts.log_share, cuts.weight)
            yield np.stack(windows), *(column[part] for column in columns)

    def cut(
        windows: tf.Tensor, maps: tf.Tensor, numbers: tf.Tensor, *columns: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        moved = augmentation.apply(_to_input(windows), maps, cuts.size)
        return (moved if cuts.grey is None else intensity.apply(moved, numbers)), *columns

    classes = cuts.target.shape[1]
    signature = (
        tf.TensorSpec((batch, *cuts.window), tf.uint8),
        tf.TensorSpec((batch, 8), tf.float32),
        tf.TensorSpec((batch, grey.shape[1]), tf.float32),
        tf.TensorSpec((batch, classes), tf.float32),
        tf.TensorSpec((batch, classes), tf.float32),
        tf.TensorSpec((batch,), tf.float32),
    )
    return tf.data.Dataset.from_generator(pieces, output_signature=signature).map(cut).prefetch(2)


def plain(images: NDArray[np.uint8], positions: NDArray[np.int64], *, batch: int) -> Iterator[tf.Tensor]:
    """Cut the images at ``positions`` into batches for prediction, in order; the last one may be shorter."""
    for start in range(0, len(positions), batch):
        yield _to_input(images[positions[start : start + batch]])


def _to_input(images: NDArray[np.uint8] | tf.Tensor) -> tf.Tensor:
    return tf.cast(images, tf.float32)[..., None] / 255.0


def _window(image: NDArray[np.uint8], corner: NDArray[np.int64], size: Size) -> NDArray[np.uint8]:
    """Read ``size`` of ``image`` from ``corner`` (column, row) on, black beyond the image."""
    (column, row), (rows, columns) = corner.tolist(), size
    window = np.zeros(size, np.uint8)
    visible = image[max(row, 0) : max(row + rows, 0), max(column, 0) : max(column + columns, 0)]
    top, left = max(-row, 0), max(-column, 0)
    window[top : top + visible.shape[0], left : left + visible.shape[1]] = visible
    return window


def _moves(generator: np.random.Generator, centres: NDArray[np.float64], side: int) -> NDArray[np.float32]:
    """Move cut-outs (n, 2), half of them freely and half by whole pixels."""
    maps = np.empty((len(centres), 8), np.float32)
    sharp = generator.random(len(centres)) < 0.5  # noqa: PLR2004 - half of them
    for draw, chosen in ((augmentation.draw, ~sharp), (augmentation.draw_sharp, sharp)):
        maps[chosen] = draw(generator, centres[chosen], (side, side), augmentation.LESION)
    return maps
