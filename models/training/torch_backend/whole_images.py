"""Whole images in torch, moved and changed, and what each of them is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from inference.network.secondread import PLACES
from models.training.images.lesion_map import HEALTHY, LESION, UNKNOWN
from models.training.images.lesions import TISSUE
from models.training.torch_backend import appearance, movement
from models.training.torch_backend.collection import Collection, Side
from models.training.torch_backend.movement import Moves
from models.training.torch_backend.objective import Questions

_BORDER: Final = 1
"""Places around a box of which it is not said that they are healthy."""
_SMALLEST: Final = 0.5
"""Half of the side of a lesion's middle, in places: a small lesion fills one at least."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Whole:
    """How whole images are learned."""

    batch: int = 32
    learning_rate: float = 2e-4
    head_rate: float = 5.0
    trunk_rate: float = 0.3
    weight_decay: float = 1e-2
    mixed: float = 0.2
    """Both parameters of the beta distribution of mixup (Zhang et al. 2018)."""


def take(
    collection: Collection, side: Side, rows: Tensor, generator: torch.Generator
) -> tuple[Tensor, Questions]:
    """Take ``rows`` of the side, moved and changed: images (n, 1, rows, columns) and what they are asked."""
    high, wide = collection.size
    numbers = side.numbers[rows]
    centre = torch.tensor([(wide - 1) / 2, (high - 1) / 2], device=collection.images.device)
    moves = movement.draw(centre.expand(len(rows), 2), collection.size, movement.WHOLE, generator)
    moved = movement.apply(collection.images[numbers, None].float() / 255, moves)
    questions = Questions(
        target=side.target[rows],
        log_share=side.log_share[rows],
        weight=side.weight[rows],
        malignant_weight=side.malignant_weight[rows],
        places=places(moved, collection.boxes[numbers], side.mapped[rows], moves),
    )
    return appearance.change(moved, generator, framed=True), questions


def places(moved: Tensor, boxes: Tensor, mapped: Tensor, moves: Moves) -> Tensor:
    """Map what moved images show, as `lesion_map.places` does for images that stay.

    Parameters
    ----------
    moved
        Images (n, 1, rows, columns), 0 to 1, moved but not changed otherwise.
    boxes
        Of the images before they were moved: (n, k, 4), NaN where there is none.
    mapped
        See `collection.Side`.

    Returns
    -------
    Tensor
        (n, rows / 32, columns / 32) of `UNKNOWN`, `HEALTHY` and `LESION`.
    """
    tissue = functional.avg_pool2d(moved, PLACES)[:, 0] > TISSUE / 255
    labels = torch.where(tissue & mapped[:, None, None], HEALTHY, UNKNOWN)
    corners = torch.stack(
        [boxes[..., [0, 1]], boxes[..., [2, 1]], boxes[..., [0, 3]], boxes[..., [2, 3]]], dim=2
    )
    n, k = boxes.shape[:2]
    # edges are counted from the corner of the first pixel, the moves from its centre
    moved_corners = moves.places((corners - 0.5).reshape(n, k * 4, 2)).reshape(n, k, 4, 2) + 0.5
    middle = moved_corners.mean(2)
    growth = torch.linalg.det(moves.matrix).abs().rsqrt()[:, None, None]
    half = (boxes[..., 2:] - boxes[..., :2]) / 2 * growth
    low, high = (middle - half) / PLACES, (middle + half) / PLACES
    around = _inside(low.floor() - _BORDER, high.floor() + 1 + _BORDER, labels.shape)
    within = (half / 2 / PLACES).clamp(min=_SMALLEST)
    inner = _inside((middle / PLACES - within).floor(), (middle / PLACES + within).ceil(), labels.shape)
    labels = torch.where(around, UNKNOWN, labels)
    return torch.where(inner, LESION, labels)


def _inside(low: Tensor, high: Tensor, shape: torch.Size) -> Tensor:
    """Mark the places from ``low`` on and before ``high`` of any box: (n, rows, columns); NaN: none."""
    row = torch.arange(shape[1], device=low.device)[:, None]
    column = torch.arange(shape[2], device=low.device)[None, :]
    left, top, right, bottom = (
        edge[..., None, None] for edge in (low[..., 0], low[..., 1], high[..., 0], high[..., 1])
    )
    return ((column >= left) & (column < right) & (row >= top) & (row < bottom)).any(1)
