"""From which malignant score a breast is flagged: two points, each with what it was worth out of fold.

A breast has its standard views, and its score is made as the node makes it. Each source weighs alike, however
many breasts it has. A point is chosen on all folds; its figures come from folds that had no part in the
choice, each judged at the threshold that the other folds give.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from inference import decision, examination
from models.training.evaluation.judged import MALIGNANT
from models.training.evaluation.measures import Flags, Floats, Integers
from models.training.evaluation.predictions import Predictions
from models.training.sources.folds import SEVERITY

DIGITAL: Final = ("bwh-selenia", "inbreast", "rsna")
"""Sources from modern digital scanners: scanned films are flagged more often, and no site reads them."""
NORMALS: Final = ("Normal", "Benign without callback", "Negative")
"""Labels of breasts that nobody recalls."""
WANTED: Final = 0.9
_DIGITS: Final = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class FlagFigures:
    """A threshold, and what it was worth."""

    threshold: float
    basis: str
    """What it means, in words."""
    specificity: Mapping[str, float]
    """Share of the normal breasts of each source that are not flagged."""
    sensitivity: Mapping[str, float]
    """Share of the malignant breasts of each source that are flagged."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Breasts:
    """One row per breast, all of the same length."""

    scores: Floats
    """Malignant score of the breast."""
    sources: Sequence[str]
    folds: Integers
    normal: Flags
    malignant: Flags

    def of_sources(self, rows: Flags) -> dict[str, Flags]:
        """Part ``rows`` by source, sources without such rows left out."""
        sources = np.array(self.sources)
        parts = {name: rows & (sources == name) for name in sorted(set(self.sources))}
        return {name: part for name, part in parts.items() if part.any()}


def choose(predictions: Predictions, scores: Floats) -> dict[str, FlagFigures]:
    """Choose both points by the calibrated ``scores`` (images, classes) of ``predictions``."""
    all_breasts = breasts(predictions, scores)
    digital = all_breasts.normal & np.isin(np.array(all_breasts.sources), DIGITAL)
    return {
        "specificity-90": _figures(
            all_breasts,
            digital,
            share_below=WANTED,
            words="90 % of the normal breasts of the digital sources (RSNA, INbreast, Selenia) stay below",
        ),
        "sensitivity-90": _figures(
            all_breasts,
            all_breasts.malignant,
            share_below=1 - WANTED,
            words="90 % of the malignant breasts of all sources reach it",
        ),
    }


def breasts(predictions: Predictions, scores: Floats) -> Breasts:
    """Put the standard views of each breast together; its label is that of its worst image."""
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
        scores=np.array([_malignant(predictions, scores, numbers) for numbers in rows]),
        sources=[predictions.examples[numbers[0]].source for numbers in rows],
        folds=np.array([predictions.folds[numbers[0]] for numbers in rows]),
        normal=np.isin(np.array(labels), NORMALS),
        malignant=np.array(labels) == "Malignant",
    )


def _malignant(predictions: Predictions, scores: Floats, numbers: Sequence[int]) -> float:
    views = []
    for number in numbers:
        normal, benign, without_callback, malignant = (float(score) for score in scores[number])
        views.append((predictions.examples[number].view, (normal, benign, without_callback, malignant)))
    return decision.breast_scores(views)[MALIGNANT]


def _figures(found: Breasts, chosen_on: Flags, *, share_below: float, words: str) -> FlagFigures:
    flagged = np.zeros(len(found.scores), bool)
    for fold in np.unique(found.folds):
        inside = found.folds == fold
        flagged[inside] = found.scores[inside] >= _threshold(found, chosen_on & ~inside, share_below)
    threshold = _threshold(found, chosen_on, share_below)
    specificity = _shares(found.of_sources(found.normal), ~flagged)
    sensitivity = _shares(found.of_sources(found.malignant), flagged)
    return FlagFigures(
        threshold=threshold,
        basis=(
            f"{words}, each source weighing alike, out of fold by patient. Judged by folds that had no part "
            f"in the choice: not flagged of normal breasts {_words(specificity)}; flagged of malignant "
            f"breasts {_words(sensitivity)}."
        ),
        specificity=specificity,
        sensitivity=sensitivity,
    )


def _threshold(found: Breasts, rows: Flags, share_below: float) -> float:
    """Return the lowest threshold, of four decimals, with that share of ``rows`` below it, sources alike."""
    parts = found.of_sources(rows).values()
    scores = np.concatenate([found.scores[part] for part in parts])
    weights = np.concatenate([np.full(part.sum(), 1 / (len(parts) * part.sum())) for part in parts])
    order = np.argsort(scores, kind="stable")
    below = np.cumsum(weights[order])
    # of the score at which the share is reached: the step above it where it must stay below, else itself
    last = float(scores[order][min(int(np.searchsorted(below, share_below - 1e-9)), len(order) - 1)])
    step = math.floor(last * _DIGITS) + (1 if share_below > WANTED / 2 else 0)
    return min(max(step, 1) / _DIGITS, 1.0)


def _shares(parts: Mapping[str, Flags], reached: Flags) -> dict[str, float]:
    return {name: round(float(reached[part].mean()), 3) for name, part in parts.items()}


def _words(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
