"""What the order of the scores says: areas under ROC and precision-recall curves, and points on the former.

Ties are one step of a curve: neither a lucky nor an unlucky order of equal scores counts.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from models.training.evaluation.bootstrap import Figures, share
from models.training.evaluation.measures import Flags, Floats, Integers

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
    last = np.flatnonzero(np.r_[np.diff(score[order]) != 0, True])
    hit = positive[order].astype(np.float64)
    with_hits = np.flatnonzero(np.diff(hit.cumsum()[last], prepend=0))

    def weighted(weights: Floats) -> Floats:
        drawn = weights[:, order]
        reached = drawn.cumsum(axis=1)
        drawn *= hit
        hits = drawn.cumsum(axis=1, out=drawn)
        if len(last) < len(order):
            hits, reached = hits[:, last], reached[:, last]
        return _of_curve(hits, reached, with_hits)

    return weighted


def _of_curve(hits: Floats, reached: Floats, with_hits: Integers) -> Floats:
    """Compute the figures from what each threshold lets in, the highest one first.

    Parameters
    ----------
    hits, reached
        True positives, and all: (draws, thresholds), growing.
    with_hits
        The thresholds that let positives in, whatever is drawn: the others have no part in a precision.
    """
    malignant = hits[:, -1].copy()
    alarms = np.subtract(reached, hits)
    negative = alarms[:, -1]
    allowed = (alarms <= ((1 - SPECIFICITY) * negative + _SLACK)[:, None]).sum(axis=1)
    missing = (hits < (SENSITIVITY * malignant - _SLACK)[:, None]).sum(axis=1)
    draws = np.arange(len(hits))
    columns = (
        share(_area(hits, alarms), malignant * negative),
        share(_precisions(hits, reached, with_hits), malignant),
        share(np.where(allowed > 0, hits[draws, allowed - 1], 0), malignant),
        share(negative - alarms[draws, np.minimum(missing, hits.shape[1] - 1)], negative),
    )
    stacked = np.stack(columns, axis=1)
    stacked[(malignant == 0) | (negative == 0)] = np.nan
    return stacked


def _area(hits: Floats, alarms: Floats) -> Floats:
    """Add up, over the false positives of each threshold, the true positives above it and half of its own."""
    whole = np.einsum("ij,ij->i", np.diff(alarms, axis=1), hits[:, 1:] + hits[:, :-1])
    return np.asarray((whole + alarms[:, 0] * hits[:, 0]) / 2)


def _precisions(hits: Floats, reached: Floats, with_hits: Integers) -> Floats:
    """Add up the precision at each threshold, as often as it lets true positives in."""
    true_positives, alerts = hits[:, with_hits], reached[:, with_hits]
    precision = np.divide(true_positives, alerts, out=np.zeros_like(true_positives), where=alerts > 0)
    return np.asarray((np.diff(true_positives, axis=1, prepend=0) * precision).sum(axis=1))
