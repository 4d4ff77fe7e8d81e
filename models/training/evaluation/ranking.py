"""What the order of the scores says: areas under ROC and precision-recall curves, and points on the former.

Ties are one step of a curve: neither a lucky nor an unlucky order of equal scores counts.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from models.training.evaluation.bootstrap import Figures, share
from models.training.evaluation.measures import Flags, Floats

NAMES: Final = ("auc", "average_precision", "sensitivity_at_specificity", "specificity_at_sensitivity")
"""What `figures` gives, in this order."""

SPECIFICITY: Final = 0.89
"""A radiologist's average in screening: Lehman et al., Radiology 283:49-58 (2017), 88.9 %."""
SENSITIVITY: Final = 0.85

_SLACK: Final = 1e-9
"""Shares of whole patients are compared; what rounding adds is less."""


def figures(positive: Flags, score: Floats) -> Figures:
    """Make the four figures of `NAMES` for telling ``positive`` rows by ``score``; both (rows,)."""
    order = np.argsort(-score, kind="stable")
    positive = positive[order]
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) != 0])

    def weighted(weights: Floats) -> Floats:
        sorted_ = weights[:, order]
        if len(starts) < len(order):
            right = np.add.reduceat(sorted_ * positive, starts, axis=1)
            wrong = np.add.reduceat(sorted_ * ~positive, starts, axis=1)
        else:
            right, wrong = sorted_ * positive, sorted_ * ~positive
        return _of_curve(right, wrong)

    return weighted


def _of_curve(right: Floats, wrong: Floats) -> Floats:
    """Compute the figures from true and false positives that each threshold adds, the highest one first."""
    hits, alarms = right.cumsum(axis=1), wrong.cumsum(axis=1)
    malignant, negative = hits[:, -1], alarms[:, -1]
    area = (wrong * (hits - right / 2)).sum(axis=1)
    precision = np.divide(hits, hits + alarms, out=np.zeros_like(hits), where=hits > 0)
    allowed = alarms <= ((1 - SPECIFICITY) * negative + _SLACK)[:, None]
    enough = hits >= (SENSITIVITY * malignant - _SLACK)[:, None]
    columns = (
        share(area, malignant * negative),
        share((right * precision).sum(axis=1), malignant),
        share(np.where(allowed, hits, 0).max(axis=1), malignant),
        share(np.where(enough, negative[:, None] - alarms, 0).max(axis=1), negative),
    )
    stacked = np.stack(columns, axis=1)
    stacked[(malignant == 0) | (negative == 0)] = np.nan
    return stacked
