"""All prepared images, with their boxes, in the memory of the graphics card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.findings import ClassKey
from models.training.images.balance import balance
from models.training.images.lesions import TISSUE
from models.training.images.prepare import Prepared
from models.training.sources.labels import Example

POINTS: Final = 192
"""Places in the breast that are drawn for each image, once, for cut-outs of tissue."""
_SEED: Final = 3


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Collection:
    """The images of a table that can be used, in its order."""

    images: Tensor
    """(n, rows, columns), bytes, 255 is white."""
    boxes: Tensor
    """Left, top, right, bottom of each lesion in pixels: (n, most lesions of an image, 4); NaN for none."""
    points: Tensor
    """Column and row of places in the breast: (n, `POINTS`, 2)."""
    examples: tuple[Example, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the images."""
        return self.images.shape[1], self.images.shape[2]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Side:
    """One side of a fold: which images, and what they are asked."""

    numbers: Tensor
    """Of images in the collection: (m,)."""
    target: Tensor
    log_share: Tensor
    weight: Tensor
    malignant_weight: Tensor
    mapped: Tensor
    """Whether it is known of each place of an image if it is healthy: (m,); see `lesion_map`."""
    examples: tuple[Example, ...]


def gather(prepared: Prepared, device: torch.device) -> Collection:
    """Bring the images of ``prepared`` that can be used, and the boxes of their lesions, onto ``device``."""
    images = prepared.images[prepared.positions]
    most = max(1, *(len(boxes) for boxes in prepared.lesions))
    drawn = np.full((len(images), most, 4), np.nan, np.float32)
    for number, boxes in enumerate(prepared.lesions):
        drawn[number, : len(boxes)] = np.array(boxes, np.float32).reshape(-1, 4)
    generator = np.random.default_rng(_SEED)
    points = np.stack([_points(image, generator) for image in images])
    return Collection(
        images=torch.from_numpy(images).to(device),
        boxes=torch.from_numpy(drawn).to(device),
        points=torch.from_numpy(points).to(device),
        examples=prepared.examples,
    )


def side(collection: Collection, numbers: Sequence[int]) -> Side:
    """Take the images ``numbers``, weighed among themselves."""
    device = collection.images.device
    examples = tuple(collection.examples[number] for number in numbers)
    with_lesions = {example.source for example in examples if example.lesions}
    balanced = balance(examples)
    mapped = [
        bool(example.lesions) or (example.source in with_lesions and example.classes == {ClassKey.NORMAL})
        for example in examples
    ]
    return Side(
        numbers=torch.tensor(numbers, device=device),
        target=torch.tensor([example.target for example in examples], device=device),
        log_share=torch.from_numpy(balanced.log_share).to(device),
        weight=torch.from_numpy(balanced.weight).to(device),
        malignant_weight=torch.from_numpy(balanced.malignant_weight).to(device),
        mapped=torch.tensor(mapped, device=device),
        examples=examples,
    )


def _points(image: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.float32]:
    """Draw places in the breast; the middle of the image where it is black."""
    places = np.flatnonzero(image[::2, ::2] > TISSUE)
    if not len(places):
        return np.tile(np.array([image.shape[1] / 2, image.shape[0] / 2], np.float32), (POINTS, 1))
    rows, columns = np.divmod(places[generator.integers(len(places), size=POINTS)], -(-image.shape[1] // 2))
    return np.stack([columns * 2, rows * 2], axis=1).astype(np.float32)
