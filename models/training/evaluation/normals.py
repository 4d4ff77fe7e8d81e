"""How far the malignant scores of normal images differ between sources: a trace of the scanner shortcut.

Normal are the labels Normal and Negative. If a score said nothing about the scanner, the normals of two
sources could not be told apart by it: an area under the curve of 0.5. The films and the women differ too, so
that a difference is no proof; its absence is.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any, Final

import numpy as np

from models.training.evaluation import bootstrap, judged, ranking
from models.training.evaluation.bootstrap import Draws
from models.training.evaluation.group import ENOUGH
from models.training.evaluation.judged import MALIGNANT
from models.training.evaluation.measures import Estimate, Floats
from models.training.evaluation.rounding import rounded, stated
from models.training.evaluation.scored import Scored

LABELS: Final = ("Normal", "Negative")
_CHANCE: Final = 0.5


def compare(scored: Scored) -> dict[str, Any]:
    """Compute each source's mean score of normals, and the area under the curve between each two sources."""
    normal = np.array([example.label in LABELS for example in scored.predictions.examples])
    images = judged.images(scored.where(normal).predictions.examples, scored.shipped[normal])
    sources = np.array([example.source for example in images.examples])
    patients = np.array(images.patients)
    score = images.scores[:, MALIGNANT]
    names = [name for name in np.unique(sources).tolist() if (sources == name).sum() >= ENOUGH]
    pairs = []
    for first, second in combinations(names, 2):
        rows = (sources == first) | (sources == second)
        found = bootstrap.draw(patients[rows].tolist(), resamples=scored.resamples).estimate(
            ranking.figures(sources[rows] == second, score[rows])
        )
        pairs.append({"lower": first, "higher": second, "auc": stated(found)})
    ordered = [_ordered(pair) for pair in pairs]
    return {
        "sources": {
            name: {
                "images": int((sources == name).sum()),
                "mean_malignant_score": stated(
                    _mean(
                        score[sources == name],
                        bootstrap.draw(patients[sources == name].tolist(), resamples=scored.resamples),
                    )
                ),
            }
            for name in names
        },
        "pairs": ordered,
        "farthest_from_chance": max(
            (rounded(pair["auc"]["value"] - _CHANCE) for pair in ordered), default=None
        ),
    }


def _mean(score: Floats, draws: Draws) -> Estimate | None:
    return draws.estimate(lambda weights: bootstrap.share(weights @ score, weights.sum(axis=1))[:, None])


def _ordered(pair: dict[str, Any]) -> dict[str, Any]:
    """Turn a pair so that the second source has the higher scores and the area is at least one half."""
    auc = pair["auc"]
    if auc["value"] >= _CHANCE:
        return pair
    turned = {"value": 1 - auc["value"], "low": 1 - auc["high"], "high": 1 - auc["low"]}
    return {
        "lower": pair["higher"],
        "higher": pair["lower"],
        "auc": {name: rounded(value) for name, value in turned.items()},
    }
