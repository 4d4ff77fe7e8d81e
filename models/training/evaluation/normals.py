"""How far the malignant scores of normal images differ between sources: a trace of the scanner shortcut.

Normal are the labels Normal and Negative. If a score said nothing about the scanner, the normals of two
sources could not be told apart by it: an area under the curve of 0.5. The films and the women differ too, so
that a difference is no proof; its absence is.
"""

from __future__ import annotations

from itertools import combinations
from typing import Final

import numpy as np

from models.training.evaluation import bootstrap, judged, ranking
from models.training.evaluation.bootstrap import Draws
from models.training.evaluation.figures import NormalFigures, NormalPair, NormalScores
from models.training.evaluation.group import ENOUGH
from models.training.evaluation.judged import MALIGNANT
from models.training.evaluation.measures import Estimate, Flags, Floats, rounded, stated
from models.training.evaluation.scored import Scored

LABELS: Final = ("Normal", "Negative")
_CHANCE: Final = 0.5


def compare(scored: Scored) -> NormalFigures:
    """Compute each source's mean score of normals, and the area under the curve between each two sources."""
    normal = np.array([example.label in LABELS for example in scored.predictions.examples])
    images = judged.images(scored.subset(normal).predictions.examples, scored.shipped[normal])
    sources = np.array([example.source for example in images.examples])
    patients = np.array(images.patients)
    score = images.scores[:, MALIGNANT]

    def drawn(rows: Flags) -> Draws:
        return bootstrap.draw(patients[rows].tolist(), resamples=scored.resamples)

    names = [name for name in np.unique(sources).tolist() if (sources == name).sum() >= ENOUGH]
    pairs = []
    for first, second in combinations(names, 2):
        rows = (sources == first) | (sources == second)
        area = stated(drawn(rows).estimate(ranking.figures(sources[rows] == second, score[rows])))
        if area is not None:
            pairs.append(_ordered(first, second, area))
    means = {name: _mean(score[sources == name], drawn(sources == name)) for name in names}
    return NormalFigures(
        sources={
            name: NormalScores(images=int((sources == name).sum()), mean_malignant_score=stated(mean))
            for name, mean in means.items()
        },
        pairs=tuple(pairs),
        farthest_from_chance=max((rounded(pair.auc.value - _CHANCE) for pair in pairs), default=None),
    )


def _mean(score: Floats, draws: Draws) -> Estimate | None:
    return draws.estimate(lambda weights: bootstrap.share(weights @ score, weights.sum(axis=1))[:, None])


def _ordered(first: str, second: str, area: Estimate) -> NormalPair:
    """Name the source with the higher scores as such, so that the area is at least one half."""
    if area.value >= _CHANCE:
        return NormalPair(lower=first, higher=second, auc=area)
    turned = Estimate(value=rounded(1 - area.value), low=rounded(1 - area.high), high=rounded(1 - area.low))
    return NormalPair(lower=second, higher=first, auc=turned)
