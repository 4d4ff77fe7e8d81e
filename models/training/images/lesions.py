"""Where cut-outs are taken: lesions, places of the same images without one, and tissue of normal images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from inference.findings import ClassKey
from models.training.sources.labels import Box, Example, Target

TISSUE: Final = 25
"""Grey value (of 255) above which a pixel of a prepared image counts as breast."""
_TRIES: Final = 30
"""Places that are tried for a cut-out of healthy tissue."""
_NORMAL: Final[Target] = (1.0, 0.0, 0.0, 0.0)


class Images(Protocol):
    """What places are drawn from; see `dataset.TrainingSet`."""

    @property
    def images(self) -> NDArray[np.uint8]: ...  # noqa: D102
    @property
    def positions(self) -> NDArray[np.int64]: ...  # noqa: D102
    @property
    def examples(self) -> tuple[Example, ...]: ...  # noqa: D102
    @property
    def lesions(self) -> tuple[tuple[Box, ...], ...]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Place:
    """The middle of one cut-out and what is asked of it."""

    example: int
    """Number of the example."""
    centre: tuple[float, float]
    """Column and row in the prepared image."""
    target: Target


class NoLesionsError(Exception):
    """There is nothing to learn lesions from; the message says what is wanted."""


def pairs(data: Images, generator: np.random.Generator, count: int, *, distance: float) -> list[Place]:
    """Draw ``count`` lesions, every other one malignant, each followed by a place of its image without one.

    Parameters
    ----------
    distance
        Pixels, along rows or columns, between such a place and the middle of every lesion where possible.

    Raises
    ------
    NoLesionsError
        Where no malignant image has a box, or no other image.
    """
    malignant, benign = both_kinds(data)
    places: list[Place] = []
    for number in range(count):
        kind = malignant if number % 2 else benign
        example, box = kind[generator.integers(len(kind))]
        image = data.images[data.positions[example]]
        middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        elsewhere = _elsewhere(image, data.lesions[example], generator, distance=distance)
        places.append(Place(example, middle, data.examples[example].target))
        places.append(Place(example, elsewhere, _NORMAL))
    return places


def normal_tissue(data: Images, generator: np.random.Generator, count: int) -> list[Place]:
    """Draw ``count`` places of Normal images from the sources that have lesions as well.

    Only from those: tissue of a scanner without a single lesion would teach that this scanner is harmless.
    """
    with_lesions = {
        example.source for example, boxes in zip(data.examples, data.lesions, strict=True) if boxes
    }
    normal = [
        number
        for number, example in enumerate(data.examples)
        if example.classes == {ClassKey.NORMAL} and example.source in with_lesions
    ]
    if not normal:
        return pairs(data, generator, count // 2, distance=np.inf)
    chosen = generator.choice(normal, count)
    return [
        Place(int(number), _tissue(data.images[data.positions[number]], generator), _NORMAL)
        for number in chosen
    ]


def both_kinds(data: Images) -> tuple[list[tuple[int, Box]], list[tuple[int, Box]]]:
    """List the lesions as `by_kind` does. Raises NoLesionsError where there are none of one kind."""
    malignant, benign = by_kind(data)
    if not (malignant and benign):
        raise NoLesionsError(
            f"{len(malignant)} boxes of malignant lesions and {len(benign)} of others in "
            f"{len(data.examples)} training images; training begins with lesions and needs both: "
            "name images with boxes in --data"
        )
    return malignant, benign


def by_kind(data: Images) -> tuple[list[tuple[int, Box]], list[tuple[int, Box]]]:
    """List the lesions of malignant images and those of others: number of the example, and box."""
    malignant: list[tuple[int, Box]] = []
    benign: list[tuple[int, Box]] = []
    for number, (example, boxes) in enumerate(zip(data.examples, data.lesions, strict=True)):
        kind = malignant if ClassKey.MALIGNANT in example.classes else benign
        kind += [(number, box) for box in boxes]
    return malignant, benign


def _tissue(image: NDArray[np.uint8], generator: np.random.Generator) -> tuple[float, float]:
    rows, columns = np.nonzero(image > TISSUE)
    number = generator.integers(len(rows))
    return float(columns[number]), float(rows[number])


def _elsewhere(
    image: NDArray[np.uint8], boxes: Sequence[Box], generator: np.random.Generator, *, distance: float
) -> tuple[float, float]:
    """Draw a place in the breast, ``distance`` or more from every lesion, or the farthest of some places."""
    rows, columns = np.nonzero(image > TISSUE)
    drawn = generator.integers(len(rows), size=_TRIES)
    places = np.stack([columns[drawn], rows[drawn]], axis=1).astype(float)
    middles = np.array([((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) for box in boxes])
    away = np.abs(places[:, np.newaxis] - middles).max(axis=2).min(axis=1)
    column, row = places[int(np.argmax(np.minimum(away, distance)))]
    return float(column), float(row)
