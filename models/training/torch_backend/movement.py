"""Images moved as a whole: one affine map each, drawn and applied where the images are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How far images may be moved, each drawn evenly between minus and plus."""

    degrees: float
    shift: float
    """Share of the cut-out's rows and columns."""
    log_zoom: float
    """Logarithm of the zoom."""
    log_stretch: float
    """Logarithm by which rows are zoomed more than columns."""
    shear: float
    """Radians."""
    mirror: bool
    """Whether half of them are mirrored left to right."""
    sharp: float
    """Share that is moved by whole pixels only: an interpolation blurs, and the node's images are not."""


WHOLE: Final = Limits(
    degrees=15.0, shift=0.07, log_zoom=0.18, log_stretch=0.08, shear=0.1, mirror=False, sharp=0.25
)
"""Whole images, the chest wall on the left; half of them are turned upside down as well."""
CUT_OUTS: Final = Limits(
    degrees=180.0, shift=0.2, log_zoom=0.25, log_stretch=0.08, shear=0.1, mirror=True, sharp=0.25
)
"""Small cut-outs, which have no natural top; the lesion stays inside."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Moves:
    """Maps from a cut-out to its image: place in the image = matrix · (place - middle) + centre."""

    matrix: Tensor
    """(n, 2, 2); places are (column, row)."""
    centre: Tensor
    """Place of the image that the middle of the cut-out shows: (n, 2)."""
    size: tuple[int, int]
    """Rows and columns of the cut-outs."""

    @property
    def middle(self) -> Tensor:
        """Column and row of the cut-outs' middle, the centre of the first pixel being 0."""
        rows, columns = self.size
        return torch.tensor([(columns - 1) / 2, (rows - 1) / 2], device=self.centre.device)

    def places(self, of_image: Tensor) -> Tensor:
        """Return where places (n, k, 2) of the images lie in the cut-outs."""
        back = torch.linalg.inv(self.matrix)
        positions: Tensor = (of_image - self.centre[:, None]) @ back.transpose(1, 2) + self.middle
        return positions


def draw(centre: Tensor, size: tuple[int, int], limits: Limits, generator: torch.Generator) -> Moves:
    """Draw one map for each of ``centre`` (n, 2); a share of them without turns, zoom or parts of pixels."""
    count, device = len(centre), centre.device

    def even(limit: float) -> Tensor:
        return (torch.rand(count, device=device, generator=generator) * 2 - 1) * limit

    def chance(share: float) -> Tensor:
        return torch.rand(count, device=device, generator=generator) < share

    sharp = chance(limits.sharp)
    free = (~sharp).float()
    angle = even(math.radians(limits.degrees)) * free
    slant = angle + even(limits.shear) * free
    zoom, stretch = even(limits.log_zoom) * free, even(limits.log_stretch) * free / 2
    across, down = torch.exp(zoom - stretch), torch.exp(zoom + stretch)
    upside_down = torch.where(chance(0.5), -1.0, 1.0)
    mirror = torch.where(chance(0.5 if limits.mirror else 0.0), -1.0, 1.0)
    matrix = torch.stack(
        [
            torch.stack([mirror * across * torch.cos(angle), -upside_down * down * torch.sin(slant)], -1),
            torch.stack([mirror * across * torch.sin(angle), upside_down * down * torch.cos(slant)], -1),
        ],
        dim=1,
    )
    sides = torch.tensor([size[1], size[0]], device=device)
    moved = centre + torch.stack([even(limits.shift), even(limits.shift)], -1) * sides
    half = (sides - 1) / 2
    moved = torch.where(sharp[:, None], torch.round(moved - half) + half, moved)
    return Moves(matrix=matrix, centre=moved, size=size)


def apply(images: Tensor, moves: Moves) -> Tensor:
    """Cut out of images (n, 1, rows, columns), black beyond them: (n, 1, *size)."""
    rows, columns = images.shape[2:]
    high, wide = moves.size
    # grid_sample counts -1 to 1 from edge to edge, the first pixel's centre at -1 + 1 / side
    scale = torch.tensor([2 / columns, 2 / rows], device=images.device)
    sides = torch.tensor([wide / 2, high / 2], device=images.device)
    turned = moves.matrix * scale[None, :, None] * sides[None, None, :]
    offset = (moves.centre + 0.5) * scale - 1
    grid = functional.affine_grid(
        torch.cat([turned, offset[..., None]], dim=2), [len(images), 1, high, wide], align_corners=False
    )
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
