"""Scores from logits, what fits them to labels, and the form of a figure with its interval.

Plain NumPy functions of arrays; none of them knows files, folds or networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]

RESAMPLES: Final = 2000
"""Draws: each end of a 95 % interval then has 50 of them beyond it."""
_TEMPERATURES: Final = (0.05, 20.0)
"""Between these the temperature is searched."""
_DIGITS: Final = 3
"""Of a figure as it is stated, in evaluation and card alike."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A figure with its 95 % bootstrap interval over patients."""

    value: float
    low: float
    high: float


def rounded(value: float) -> float:
    """Round a figure as it is stated."""
    return round(value, _DIGITS)


def stated(estimate: Estimate | None) -> Estimate | None:
    """Round a figure and its interval; None stays None."""
    if estimate is None:
        return None
    return Estimate(value=rounded(estimate.value), low=rounded(estimate.low), high=rounded(estimate.high))


def softmax(logits: Floats, temperature: float) -> Floats:
    """Turn logits (n, classes) into scores (n, classes)."""
    scaled = logits / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def log_loss(scores: Floats, targets: Floats, weights: Floats | None = None) -> float:
    """Average minus the logarithm of what the classes left open by the label have together; weights (n,)."""
    losses = -np.log(np.clip((scores * targets).sum(axis=1), 1e-12, None))
    return float(np.average(losses, weights=weights))


def fit_temperature(logits: Floats, targets: Floats) -> float:
    """Find the temperature with the smallest `log_loss` (Guo et al. 2017)."""

    def cost(logarithm: float) -> float:
        return log_loss(softmax(logits, float(np.exp(logarithm))), targets)

    optimum = minimize_scalar(cost, bounds=tuple(np.log(_TEMPERATURES)), method="bounded")
    return float(np.exp(optimum.x))


def operating_point(malignant_scores: Floats, sensitivity: float) -> float:
    """Find the highest threshold that at least ``sensitivity`` of the malignant images reach."""
    ordered = np.sort(malignant_scores)[::-1]
    return float(ordered[int(np.ceil(sensitivity * len(ordered))) - 1])
