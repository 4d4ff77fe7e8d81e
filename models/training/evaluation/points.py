"""Operating points: malignant scores at which the node speaks up, each with its reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import numpy as np

from models.training.evaluation.bootstrap import Figures, share
from models.training.evaluation.measures import Flags, Floats, operating_point
from models.training.evaluation.ranking import SPECIFICITY

SENSITIVITY: Final = 0.9
"""Share of the malignant images that must reach the screening point, out of fold, pooled over the sources."""

_DIGITS: Final = 10_000


class Rule(StrEnum):
    """How an operating point is chosen, on images out of fold, all sources pooled."""

    SENSITIVITY = "sensitivity"
    """Nine in ten malignant images reach it: little is missed, much is shown."""
    SPECIFICITY = "specificity"
    """As few false alarms as an average radiologist has (Lehman et al. 2017)."""


WORDS: Final[Mapping[Rule, str]] = MappingProxyType(
    {
        Rule.SENSITIVITY: (
            "Highest malignant score that 90 % of the malignant images reach out of fold, sources pooled"
        ),
        Rule.SPECIFICITY: (
            "Lowest malignant score that no more than 11 % of the other images reach out of fold, sources "
            "pooled (89 % is a radiologist's average specificity, Lehman et al. 2017)"
        ),
    }
)
"""How the choice is told in manifest and card."""


class PointError(Exception):
    """No operating point can be chosen; the message says what is missing."""


def choose(rule: Rule, malignant: Flags, score: Floats) -> float:
    """Find the malignant score (four decimals) that ``rule`` asks for; both arrays (images,).

    Raises PointError where all images are malignant, or none.
    """
    if malignant.all() or not malignant.any():
        raise PointError("the held-out images must be malignant in part: no operating point can be chosen")
    if rule is Rule.SENSITIVITY:  # down, or the rounding costs an image
        return math.floor(operating_point(score[malignant], SENSITIVITY) * _DIGITS) / _DIGITS
    other_scores = np.sort(score[~malignant])
    last = other_scores[min(len(other_scores), math.ceil(SPECIFICITY * len(other_scores))) - 1]
    return (math.floor(float(last) * _DIGITS) + 1) / _DIGITS  # the next step above what must stay below


def figures(malignant: Flags, score: Floats, point: float) -> Figures:
    """Make sensitivity and specificity at ``point``."""
    reached = score >= point
    counted = np.stack([malignant & reached, malignant, ~malignant & ~reached, ~malignant], axis=1)
    columns = counted.astype(np.float64)

    def weighted(weights: Floats) -> Floats:
        hits, malignant_weight, spared, rest_weight = (weights @ columns).T
        return np.stack([share(hits, malignant_weight), share(spared, rest_weight)], axis=1)

    return weighted
