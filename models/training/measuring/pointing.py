"""The pointing game (Zhang et al. 2016): whether the hottest point of the Grad-CAM falls into a lesion.

Every image with lesion boxes is read by the network of a fold that was trained without its patient, by the
node's own function. A box counts a little wider than it is drawn: readers' boxes differ by as much.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference import pipeline
from inference.analysis import region
from inference.findings import CLASSES, EXPLAINABLE, Point
from inference.pipeline import Network
from inference.reading.pixels import Picture
from models.training.evaluation import bootstrap
from models.training.evaluation.measured import PointingFigures, PointingGroup
from models.training.evaluation.measures import stated
from models.training.sources.labels import Box, Example

WIDENED: Final = 0.025
"""Of the image's height, on each side."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pointed:
    """What the heat of one image points at."""

    example: Example
    hit: bool
    """Whether the hottest point lies in a lesion."""
    heat: float
    """Share of the heat that lies in lesions."""
    chance: float
    """Share of the breast that is lesion: how often a random point in the breast hits."""
    explained: str
    """The class that the heat explains."""


def point(picture: Picture, example: Example, network: Network) -> Pointed:
    """Read ``picture`` as the node does and compare its heat with the lesions of ``example``.

    Raises Refused or Failed where the node would not analyse the picture.
    """
    analysed = pipeline.analysed_image(picture, network)
    scores = dict(zip(CLASSES, analysed.reading.scores, strict=True))
    explained = max(EXPLAINABLE, key=lambda key: scores[key])
    heat = analysed.heat(explained)
    peak = region.locate(heat, analysed.breast.mask).peak
    boxes = _widened(example.lesions, picture.grey.shape[0])
    inside = _inside(boxes, heat.shape)
    total = float(heat.sum(dtype=np.float64))
    return Pointed(
        example=example,
        hit=any(_holds(box, peak) for box in boxes),
        heat=float(heat[inside].sum(dtype=np.float64)) / total if total > 0 else 0.0,
        chance=float((inside & analysed.breast.mask).sum() / analysed.breast.mask.sum()),
        explained=explained.label,
    )


def figures(rows: Sequence[Pointed], *, folds: Sequence[int], left_out: int) -> PointingFigures:
    """Compute shares with 95 % bootstrap intervals over patients: per source, per label, and pooled.

    Parameters
    ----------
    folds
        Those whose networks have read the images.
    left_out
        How many images the node would not analyse.
    """
    sources = sorted({row.example.source for row in rows})
    labels = sorted({row.example.label for row in rows})
    return PointingFigures(
        folds=tuple(folds),
        left_out=left_out,
        widened_by=WIDENED,
        pooled=_of_rows(rows),
        sources={name: _of_rows([row for row in rows if row.example.source == name]) for name in sources},
        labels={name: _of_rows([row for row in rows if row.example.label == name]) for name in labels},
    )


def _of_rows(rows: Sequence[Pointed]) -> PointingGroup:
    patients = ["/".join(row.example.person) for row in rows]
    table = np.array([(row.hit, row.heat, row.chance) for row in rows], np.float64)

    def averages(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(weights @ table / weights.sum(axis=1, keepdims=True))

    hit, heat, chance = bootstrap.draw(patients).estimates(averages)
    return PointingGroup(
        images=len(rows),
        patients=len(set(patients)),
        hottest_point_in_lesion=stated(hit),
        random_point_in_lesion=stated(chance),
        heat_in_lesion=stated(heat),
        explained=dict(sorted(Counter(row.explained for row in rows).items())),
    )


def _widened(boxes: Sequence[Box], rows: int) -> list[Box]:
    by = WIDENED * rows
    return [(left - by, top - by, right + by, bottom + by) for left, top, right, bottom in boxes]


def _holds(box: Box, point_: Point) -> bool:
    left, top, right, bottom = box
    return left <= point_[0] <= right and top <= point_[1] <= bottom


def _inside(boxes: Sequence[Box], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Mark the pixels whose centres lie in one of ``boxes``."""
    down, across = np.arange(shape[0]) + 0.5, np.arange(shape[1]) + 0.5
    flags = np.zeros(shape, bool)
    for left, top, right, bottom in boxes:
        flags |= np.outer((top <= down) & (down <= bottom), (left <= across) & (across <= right))
    return flags
