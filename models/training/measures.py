"""Figures of merit from out-of-fold predictions, with bootstrap intervals over patients.

Plain NumPy functions of arrays; none of them knows files, folds or networks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import rankdata

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]

RESAMPLES: Final = 2000
_INTERVAL: Final = (2.5, 97.5)
_TEMPERATURES: Final = (0.05, 20.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A figure with its 95 % bootstrap interval over patients."""

    value: float
    low: float
    high: float


def softmax(logits: Floats, temperature: float) -> Floats:
    """Turn logits (n, classes) into scores (n, classes)."""
    scaled = logits / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def log_loss(scores: Floats, targets: Floats) -> float:
    """Average minus the logarithm of what the classes left open by the label have together."""
    return float(-np.log(np.clip((scores * targets).sum(axis=1), 1e-12, None)).mean())


def fit_temperature(logits: Floats, targets: Floats) -> float:
    """Find the temperature with the smallest `log_loss` (Guo et al. 2017)."""

    def cost(logarithm: float) -> float:
        return log_loss(softmax(logits, float(np.exp(logarithm))), targets)

    found = minimize_scalar(cost, bounds=tuple(np.log(_TEMPERATURES)), method="bounded")
    return float(np.exp(found.x))


def operating_point(malignant_scores: Floats, sensitivity: float) -> float:
    """Find the highest threshold that at least ``sensitivity`` of the malignant images reach."""
    ordered = np.sort(malignant_scores)[::-1]
    return float(ordered[int(np.ceil(sensitivity * len(ordered))) - 1])


def auc(positive: Flags, score: Floats) -> float:
    """Compute the area under the ROC curve; ties count half. NaN where one of the two kinds is missing."""
    count = int(positive.sum())
    if not 0 < count < len(positive):
        return float("nan")
    ranks = rankdata(score)
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(positive) - count)))


def with_interval(
    figure: Callable[[Integers], float],
    patients: Sequence[str],
    *,
    seed: int,
    complete: Callable[[Integers], bool],
) -> Estimate:
    """Compute ``figure`` and its interval.

    Parameters
    ----------
    figure
        Takes row numbers, with repetitions, and returns the figure of these rows.
    patients
        Of each row. Whole patients are drawn, as many as there are.
    complete
        Whether rows hold all that the figure needs (every class); draws that do not are drawn again.
    """
    names = np.unique(np.asarray(patients), return_inverse=True)[1]
    members = [np.flatnonzero(names == number) for number in range(names.max() + 1)]
    generator = np.random.default_rng(seed)
    figures: list[float] = []
    while len(figures) < RESAMPLES:
        drawn = generator.integers(len(members), size=len(members))
        rows = np.concatenate([members[number] for number in drawn])
        if complete(rows):
            figures.append(figure(rows))
    low, high = np.percentile(figures, _INTERVAL)
    return Estimate(value=figure(np.arange(len(names))), low=float(low), high=float(high))
