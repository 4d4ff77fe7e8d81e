"""Prepared images as tf.data batches: whole images and lesion cut-outs for training, plain for prediction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from inference.findings import CLASSES, ClassKey
from models.networks import tf
from models.training import augmentation
from models.training.labels import Box, Example
from models.training.objective import balance

_TISSUE: Final = 25
"""Grey value (of 255) above which a pixel of a prepared image counts as breast."""
_TRIES: Final = 30
_APART: Final = 1.1
"""Sides between a lesion and a place without one: turned and shifted, it must not show the lesion."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Cuts:
    """One epoch, in order; all of length n, a multiple of the batch."""

    positions: NDArray[np.int64]
    """Which image."""
    maps: NDArray[np.float32]
    """Which part of it, moved how: (n, 8), from `augmentation.draw`."""
    target: NDArray[np.float32]
    """1 for each class that the label leaves open: (n, classes)."""
    log_share: NDArray[np.float32]
    """See `objective.Balance`: (n, classes)."""
    weight: NDArray[np.float32]
    side: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrainingSet:
    """What one fold trains on, all in the same order."""

    images: NDArray[np.uint8]
    """Shape (all, side, side); usually a memory map, read batch by batch."""
    positions: NDArray[np.int64]
    """Which of ``images``."""
    examples: tuple[Example, ...]
    lesions: tuple[tuple[Box, ...], ...]
    """In pixels of the prepared image."""


def whole_images(
    data: TrainingSet, generator: np.random.Generator, *, batch: int, limits: augmentation.Limits
) -> Cuts:
    """Draw one epoch of whole images, each once; what fills no batch is left out."""
    side = data.images.shape[1]
    order = generator.permutation(len(data.examples))
    order = order[: len(order) // batch * batch]
    centres = np.full((len(order), 2), (side - 1) / 2)
    balanced = balance(data.examples)
    return Cuts(
        positions=data.positions[order],
        maps=augmentation.draw(generator, centres, side, limits),
        target=np.array([data.examples[number].target for number in order], np.float32),
        log_share=balanced.log_share[order],
        weight=balanced.weight[order],
        side=side,
    )


def lesion_cuts(
    data: TrainingSet, generator: np.random.Generator, *, batch: int, batches: int, side: int
) -> Cuts:
    """Draw ``batches`` of cut-outs: each lesion with one place of the same image where there is none.

    Malignant and other lesions are equally frequent, and a lesion and its counterpart come from one image, so
    that neither the scanner nor the kind of breast says which is which. A place without lesion is Normal.
    """
    malignant, other = _lesions_by_kind(data)
    pairs = batches * batch // 2
    chosen = [
        (malignant if number % 2 else other)[generator.integers(len(malignant if number % 2 else other))]
        for number in range(pairs)
    ]
    centres = np.empty((pairs, 2, 2))
    target = np.zeros((pairs, 2, len(CLASSES)), np.float32)
    for number, (example, box) in enumerate(chosen):
        centres[number, 0] = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        image = data.images[data.positions[example]]
        centres[number, 1] = _elsewhere(image, data.lesions[example], generator, distance=side * _APART)
        target[number, 0] = data.examples[example].target
        target[number, 1, CLASSES.index(ClassKey.NORMAL)] = 1
    return Cuts(
        positions=np.repeat(data.positions[[example for example, _ in chosen]], 2),
        maps=_moves(generator, centres, side),
        target=target.reshape(-1, len(CLASSES)),
        log_share=np.zeros((2 * pairs, len(CLASSES)), np.float32),
        weight=np.ones(2 * pairs, np.float32),
        side=side,
    )


def stream(images: NDArray[np.uint8], cuts: Cuts, *, batch: int) -> Any:  # noqa: ANN401 - TensorFlow ships no types
    """Make tf.data batches of (images, target, log_share, weight) from one epoch."""

    def pieces() -> Iterator[tuple[NDArray[Any], ...]]:
        for start in range(0, len(cuts.positions), batch):
            part = slice(start, start + batch)
            yield (
                images[cuts.positions[part]],
                cuts.maps[part],
                cuts.target[part],
                cuts.log_share[part],
                cuts.weight[part],
            )

    def cut(whole: Any, maps: Any, *others: Any) -> tuple[Any, ...]:  # noqa: ANN401 - as above
        return augmentation.apply(_to_input(whole), maps, cuts.side), *others

    classes = cuts.target.shape[1]
    signature = (
        tf.TensorSpec((batch, *images.shape[1:]), tf.uint8),
        tf.TensorSpec((batch, 8), tf.float32),
        tf.TensorSpec((batch, classes), tf.float32),
        tf.TensorSpec((batch, classes), tf.float32),
        tf.TensorSpec((batch,), tf.float32),
    )
    return tf.data.Dataset.from_generator(pieces, output_signature=signature).map(cut).prefetch(2)


def plain(images: NDArray[np.uint8], positions: NDArray[np.int64], *, batch: int) -> Iterator[Any]:
    """Cut the images at ``positions`` into batches for prediction, in order; the last one may be shorter."""
    for start in range(0, len(positions), batch):
        yield _to_input(images[positions[start : start + batch]])


def _to_input(images: Any) -> Any:  # noqa: ANN401 - TensorFlow ships no types
    return tf.cast(images, tf.float32)[..., None] / 255.0


def _moves(generator: np.random.Generator, centres: NDArray[np.float64], side: int) -> NDArray[np.float32]:
    """Move pairs of cut-outs (pairs, 2, 2), half of the pairs freely and half by whole pixels."""
    maps = np.empty((*centres.shape[:2], 8), np.float32)
    sharp = generator.random(len(centres)) < 0.5  # noqa: PLR2004 - half of them
    for draw, chosen in ((augmentation.draw, ~sharp), (augmentation.draw_sharp, sharp)):
        moved = draw(generator, centres[chosen].reshape(-1, 2), side, augmentation.LESION)
        maps[chosen] = moved.reshape(-1, 2, 8)
    return maps.reshape(-1, 8)


def _lesions_by_kind(data: TrainingSet) -> tuple[list[tuple[int, Box]], list[tuple[int, Box]]]:
    malignant: list[tuple[int, Box]] = []
    other: list[tuple[int, Box]] = []
    for number, (example, boxes) in enumerate(zip(data.examples, data.lesions, strict=True)):
        kind = malignant if ClassKey.MALIGNANT in example.classes else other
        kind += [(number, box) for box in boxes]
    return malignant, other


def _elsewhere(
    image: NDArray[np.uint8], boxes: tuple[Box, ...], generator: np.random.Generator, *, distance: float
) -> tuple[float, float]:
    """Draw a place in the breast, ``distance`` or more from every lesion, or the farthest of some places."""
    rows, columns = np.nonzero(image > _TISSUE)
    drawn = generator.integers(len(rows), size=_TRIES)
    places = np.stack([columns[drawn], rows[drawn]], axis=1).astype(float)
    middles = np.array([((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) for box in boxes])
    away = np.abs(places[:, np.newaxis] - middles).max(axis=2).min(axis=1)
    column, row = places[int(np.argmax(np.minimum(away, distance)))]
    return float(column), float(row)
