"""Square cut-outs in torch: lesions, places of the same images without one, and tissue of Normal images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from inference.findings import CLASSES, ClassKey
from models.training.learning.objective import MALIGNANT, NORMAL
from models.training.torch_backend import appearance, movement
from models.training.torch_backend.collection import Collection, Side

APART: Final = 1.1
"""Sides between a lesion and a place without one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CutOuts:
    """How lesions are learned."""

    side: int = 192
    batch: int = 192
    learning_rate: float = 5e-4
    trunk_rate: float = 0.3
    weight_decay: float = 1e-2
    healthy: float = 0.25
    """Share of tissue of Normal images."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Lesions:
    """Where the cut-outs of one side of a fold are taken."""

    malignant: Tensor
    """Rows of the side and places of the middles: (k, 3), as row of the side, column, row of the image."""
    not_malignant: Tensor
    normal: Tensor
    """Rows of the side that are Normal images of sources that show lesions."""
    apart: Tensor
    """Which of an image's points are away from its lesions: (m, points)."""


def find(collection: Collection, side: Side, distance: float) -> Lesions:
    """Find lesions and places without one, ``distance`` pixels or more away where possible."""
    boxes = collection.boxes[side.numbers]
    middles = (boxes[..., :2] + boxes[..., 2:]) / 2
    drawn = ~torch.isnan(middles[..., 0])
    rows, which_box = torch.nonzero(drawn, as_tuple=True)
    lesions = torch.cat([rows[:, None].float(), middles[rows, which_box]], dim=1)
    is_malignant = side.target[rows, MALIGNANT] > 0
    points = collection.points[side.numbers]
    away = (points[:, :, None] - middles[:, None]).abs().amax(-1)
    away = torch.where(drawn[:, None], away, torch.inf).amin(-1)
    apart = (away >= distance) | (away == away.amax(1, keepdim=True))
    with_lesions = {side.examples[row].source for row in rows.tolist()}
    normal = [
        number
        for number, example in enumerate(side.examples)
        if example.classes == {ClassKey.NORMAL} and example.source in with_lesions
    ]
    return Lesions(
        malignant=lesions[is_malignant],
        not_malignant=lesions[~is_malignant],
        normal=torch.tensor(normal, dtype=torch.int64, device=rows.device),
        apart=apart,
    )


def draw(
    collection: Collection, side: Side, lesions: Lesions, recipe: CutOuts, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw one batch: cut-outs (batch, 1, side, side), 0 to 1, and their targets (batch, classes)."""
    device = collection.images.device
    tissue = round(recipe.batch * recipe.healthy) if len(lesions.normal) else 0
    pairs = (recipe.batch - tissue) // 2

    def pick(among: Tensor, count: int) -> Tensor:
        return among[torch.randint(len(among), (count,), device=device, generator=generator)]

    lesion = torch.cat([pick(lesions.malignant, pairs // 2), pick(lesions.not_malignant, pairs - pairs // 2)])
    rows = torch.cat([lesion[:, 0].long()] * 2)
    if tissue:
        rows = torch.cat([rows, pick(lesions.normal, tissue)])
    elsewhere = rows[pairs:]
    chance = torch.rand(len(elsewhere), collection.points.shape[1], device=device, generator=generator)
    chosen = (chance * lesions.apart[elsewhere]).argmax(1)
    points = collection.points[side.numbers[elsewhere], chosen]
    centres = torch.cat([lesion[:, 1:], points])
    target = torch.cat([side.target[rows[:pairs]], _normal(len(elsewhere), device)])
    moves = movement.draw(centres, (recipe.side, recipe.side), movement.CUT_OUTS, generator)
    images = collection.images[side.numbers[rows], None].float() / 255
    order = torch.randperm(len(rows), device=device, generator=generator)
    cut = movement.apply(images, moves)[order]
    return appearance.change(cut, generator, framed=False), target[order]


def _normal(count: int, device: torch.device) -> Tensor:
    return functional.one_hot(torch.full((count,), NORMAL, device=device), len(CLASSES)).float()
