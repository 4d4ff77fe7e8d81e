"""From which malignant score a breast is flagged: two points, each with what it was worth out of fold.

A breast has its standard views, and its score is made as the node makes it. The normals of each digital
source are to stay below: scores travel badly between scanners, and where all sources were taken together,
RSNA's normals, which score highest, were flagged more often than was wanted. A point is chosen on all folds;
its figures come from folds that had no part in the choice, each judged at the threshold that the others give.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from inference import examination
from models.training.evaluation import judged
from models.training.evaluation.figures import FlagFigures, OwnThreshold
from models.training.evaluation.judged import MALIGNANT
from models.training.evaluation.measures import Flags, Floats, Integers, rounded
from models.training.evaluation.predictions import Predictions
from models.training.sources.folds import SEVERITY

DIGITAL: Final = ("bwh-selenia", "inbreast", "rsna")
"""Sources from modern digital scanners: scanned films are flagged more often, and no site reads them."""
NORMALS: Final = ("Normal", "Benign without callback", "Negative")
"""Labels of breasts that nobody recalls."""
SPECIFICITY: Final = "specificity-90"
"""The point from which a node flags where nothing else is configured."""
SENSITIVITY: Final = "sensitivity-90"
RATE: Final = 0.9
_DIGITS: Final = 10_000


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Breasts:
    """One row per breast, all of the same length."""

    scores: Floats
    """Malignant score of the breast."""
    sources: Sequence[str]
    women: Integers
    """Number of the woman whose breast it is."""
    folds: Integers
    normal: Flags
    malignant: Flags

    @property
    def first(self) -> Flags:
        """One row of each woman."""
        rows = np.zeros(len(self.women), bool)
        rows[np.unique(self.women, return_index=True)[1]] = True
        return rows

    def of_any_breast(self, rows: Flags) -> Flags:
        """Mark both breasts of a woman where ``rows`` marks either."""
        return np.isin(self.women, self.women[rows])

    def of_sources(self, rows: Flags) -> dict[str, Flags]:
        """Part ``rows`` by source, sources without such rows left out."""
        sources = np.array(self.sources)
        parts = {name: rows & (sources == name) for name in sorted(set(self.sources))}
        return {name: part for name, part in parts.items() if part.any()}


def choose(table: Breasts) -> dict[str, FlagFigures]:
    """Choose both points.

    A point is left out where the breasts that it is chosen on lie in one fold, or are not there.
    """
    sources = np.array(table.sources)
    digital = [table.normal & (sources == name) for name in DIGITAL]
    digital_words = "90 % of the normal breasts of each digital source (RSNA, INbreast, Selenia) stay below"
    points = (
        (SPECIFICITY, digital, RATE, digital_words),
        (
            SENSITIVITY,
            [table.malignant],
            1 - RATE,
            "90 % of the malignant breasts of all sources, each weighing alike, reach it",
        ),
    )
    return {
        name: _figures(table, groups, share_below=share, words=words)
        for name, groups, share, words in points
        if len(np.unique(table.folds[np.logical_or.reduce(groups)])) > 1
    }


def on_own_normals(table: Breasts) -> dict[str, OwnThreshold]:
    """Give each source the threshold below which 90 % of its own normal breasts stay, as a calibration does.

    Each fold is judged at the threshold that the source's other folds give. A source whose normal breasts lie
    in one fold, or that has none, is left out.
    """
    points: dict[str, OwnThreshold] = {}
    for name, normal in table.of_sources(table.normal).items():
        if len(np.unique(table.folds[normal])) > 1:
            point = _figures(table, [normal], share_below=RATE, words="")
            points[name] = OwnThreshold(
                threshold=point.threshold,
                normal_breasts=point.normal_breasts[name],
                normal_flagged=rounded(1 - point.specificity[name]),
                malignant_breasts=point.malignant_breasts.get(name, 0),
                malignant_flagged=point.sensitivity.get(name),
            )
    return points


def breasts(predictions: Predictions, scores: Floats) -> Breasts:
    """Put the standard views of each breast together, with calibrated ``scores`` (images, classes).

    Its label is that of its worst image.
    """
    members: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for number, example in enumerate(predictions.examples):
        if example.view in examination.STANDARD:
            members[*example.person, example.laterality].append(number)
    rows = [numbers for _, numbers in sorted(members.items())]
    labels = [
        min((predictions.examples[number].label for number in numbers), key=SEVERITY.index)
        for numbers in rows
    ]
    return Breasts(
        scores=np.array([judged.of_views(predictions.examples, scores, row)[MALIGNANT] for row in rows]),
        sources=[predictions.examples[numbers[0]].source for numbers in rows],
        women=np.unique(
            ["/".join(predictions.examples[numbers[0]].person) for numbers in rows], return_inverse=True
        )[1],
        folds=np.array([predictions.folds[numbers[0]] for numbers in rows]),
        normal=np.isin(np.array(labels), NORMALS),
        malignant=np.array(labels) == "Malignant",
    )


def _figures(table: Breasts, groups: Sequence[Flags], *, share_below: float, words: str) -> FlagFigures:
    flagged = np.zeros(len(table.scores), bool)
    for fold in np.unique(table.folds):
        inside = table.folds == fold
        outside = [group & ~inside for group in groups]
        flagged[inside] = table.scores[inside] >= _highest(table, outside, share_below)
    threshold = _highest(table, groups, share_below)
    normal, malignant = table.of_sources(table.normal), table.of_sources(table.malignant)
    specificity, sensitivity = _shares(normal, ~flagged), _shares(malignant, flagged)
    healthy = table.of_sources(table.first & ~table.of_any_breast(~table.normal))
    return FlagFigures(
        threshold=threshold,
        basis=(
            f"{words}, out of fold by patient. Judged by folds that had no part "
            f"in the choice: not flagged of normal breasts {_words(specificity)}; flagged of malignant "
            f"breasts {_words(sensitivity)}."
        ),
        specificity=specificity,
        sensitivity=sensitivity,
        normal_breasts=_numbers(normal),
        malignant_breasts=_numbers(malignant),
        healthy_women=_numbers(healthy),
        healthy_women_flagged=_shares(healthy, table.of_any_breast(flagged)),
    )


def _highest(table: Breasts, groups: Sequence[Flags], share_below: float) -> float:
    """Return the lowest threshold with that share of each group below it; empty groups ask for nothing."""
    return max(_threshold(table, rows, share_below) for rows in groups if rows.any())


def _threshold(table: Breasts, rows: Flags, share_below: float) -> float:
    """Return the lowest threshold, of four decimals, with that share of ``rows`` below it."""
    scores = np.sort(table.scores[rows])
    below = np.arange(1, len(scores) + 1) / len(scores)
    # of the score at which the share is reached: the step above it where it must stay below, else itself
    last = float(scores[min(int(np.searchsorted(below, share_below - 1e-9)), len(scores) - 1)])
    step = math.floor(last * _DIGITS) + (1 if share_below > RATE / 2 else 0)
    return min(max(step, 1) / _DIGITS, 1.0)


def _numbers(parts: Mapping[str, Flags]) -> dict[str, int]:
    return {name: int(part.sum()) for name, part in parts.items()}


def _shares(parts: Mapping[str, Flags], reached: Flags) -> dict[str, float]:
    return {name: round(float(reached[part].mean()), 3) for name, part in parts.items()}


def _words(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
