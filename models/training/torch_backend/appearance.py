"""What scanners, archives and copies do to a mammogram: sharpness, contrast, noise, frames.

RSNA's images have 256 rows, others three times as many. Every image is therefore brought to a random number
of rows and back, by several kernels, so that sharpness tells nothing about where it is from.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

_GROUPS: Final = 8
"""A batch is resampled in as many groups, each in its own way."""
_AS_SHARP: Final = 0.2
"""Share of the groups that stay as they are."""
_LEAST: Final = 0.3
"""Images are brought down to this share of their rows or more: RSNA's breasts have 180 to 250 rows."""
_LOG_GAMMA: Final = 0.4
_GAIN: Final = 0.2
_OFFSET: Final = 0.06
_NOISY: Final = 0.5
_NOISE: Final = 0.05
_FRAMED: Final = 0.15
"""Gamma, gain and offset, share of noisy images and their noise, share of framed ones. The first four are
those of `images.intensity`; no measurement of the others is on record."""
_FRAME: Final = 0.04
"""Widest frame, as a share of the columns."""
_DARKEST: Final = 1e-4
"""Grey value below which a power would lose its slope."""


def change(images: Tensor, generator: torch.Generator, *, framed: bool) -> Tensor:
    """Change images (n, 1, rows, columns), 0 to 1; what is 0 stays 0.

    Parameters
    ----------
    framed
        Whether some of them get a strip of a white frame along an edge.
    """
    breast = images > 0
    x = _framed(images, breast, generator) if framed else images
    x = _bent(x, generator)
    early, late = _grains(x, generator)
    x = _resampled(x + early)
    return torch.where(breast, (x + late).clamp(0, 1), 0)


def _bent(images: Tensor, generator: torch.Generator) -> Tensor:
    """Gamma, contrast and brightness."""

    def even(limit: float) -> Tensor:
        numbers = torch.rand(len(images), 1, 1, 1, device=images.device, generator=generator)
        return (numbers * 2 - 1) * limit

    bent = images.clamp(_DARKEST, 1).pow(torch.exp(even(_LOG_GAMMA)))
    return bent * (1 + even(_GAIN)) + even(_OFFSET)


def _grains(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw noise, half of it for before and half for after resampling."""

    def numbers() -> Tensor:
        return torch.rand(len(images), 1, 1, 1, device=images.device, generator=generator)

    strength = torch.where(numbers() < _NOISY, numbers() * _NOISE, 0)
    grain = torch.randn(images.shape, device=images.device, generator=generator) * strength
    before = (numbers() < 0.5).float()  # noqa: PLR2004 - half of them
    return grain * before, grain * (1 - before)


def _resampled(images: Tensor) -> Tensor:
    rows, columns = images.shape[2:]
    groups = images.chunk(_GROUPS)
    # drawn on the processor: reading a number from the card would wait for all that it has to do
    numbers = torch.rand(len(groups), 4).tolist()
    return torch.cat(
        [
            group
            if sharpness < _AS_SHARP
            else _brought_back(group, math.exp(math.log(_LEAST) * down), (rows, columns), kernel, way_back)
            for group, (sharpness, down, kernel, way_back) in zip(groups, numbers, strict=True)
        ]
    )


def _brought_back(
    group: Tensor, share: float, size: tuple[int, int], kernel: float, way_back: float
) -> Tensor:
    small = [max(8, round(side * share)) for side in size]
    if kernel < 0.3:  # noqa: PLR2004 - thirds, roughly
        down = functional.interpolate(group, small, mode="area")
    elif kernel < 0.75:  # noqa: PLR2004
        down = functional.interpolate(group, small, mode="bilinear", antialias=True)
    else:
        down = functional.interpolate(group, small, mode="bicubic", antialias=True)
    if way_back < 0.7:  # noqa: PLR2004 - as the node does
        return functional.interpolate(down, size, mode="bilinear")
    if way_back < 0.9:  # noqa: PLR2004
        return functional.interpolate(down, size, mode="bicubic")
    return functional.interpolate(down, size, mode="nearest-exact")


def _framed(images: Tensor, breast: Tensor, generator: torch.Generator) -> Tensor:
    """Paint a white strip along the chest wall or the upper or lower edge of some images' breast."""
    count, _, rows, columns = images.shape
    device = images.device
    numbers = torch.rand(count, 7, device=device, generator=generator)
    chance, side, width, start, length, slant, white = (
        part[:, None, None, None] for part in numbers.unbind(1)
    )
    row = torch.arange(rows, device=device)[:, None] / rows
    column = torch.arange(columns, device=device)[None, :] / columns
    along, away = torch.where(side < 0.7, row, column), torch.where(side < 0.7, column, row)  # noqa: PLR2004
    lines = breast.any(3, keepdim=True).float()
    top = lines.argmax(2, keepdim=True) / rows
    bottom = 1 - lines.flip(2).argmax(2, keepdim=True) / rows
    away = torch.where(side < 0.7, away, torch.where(side < 0.85, away - top, bottom - away))  # noqa: PLR2004
    edge = _FRAME * width + (slant - 0.5) * _FRAME * (along - 0.5)
    inside = (away >= 0) & (away < edge) & (along > start * 0.6) & (along < start * 0.6 + 0.2 + 0.8 * length)
    return torch.where(inside & (chance < _FRAMED) & breast, 0.9 + 0.1 * white, images)
