"""What a threshold for one scanner is made of, and whether that still holds. Pure functions of scores.

A malignant score travels badly from one scanner to another. The share of examinations that a threshold flags
can be counted at each scanner without knowing a single diagnosis; so can a change of its population.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

NEEDED: Final = 200
"""Examinations from which a threshold, a percentile or a comparison is made.

At a flag rate of 10 % the share that 200 examinations give has a standard error of 2 points.
"""
POPULATION: Final = 1000
"""Examinations that are looked at, at most: the latest."""
QUANTILES: Final = (0.05, 0.25, 0.50, 0.75, 0.90, 0.95)
"""Those that are shown, as shares of the population."""

_FALSE_ALARMS: Final = 0.001
"""Share of comparisons that call an unchanged population another one: `status` may compare every day."""
_DIGITS: Final = range(2, 17)


@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """The last examinations of a scanner against its reference population."""

    distance: float
    """Greatest difference of the two shares of examinations below any score, 0 to 1 (Kolmogorov-Smirnov)."""
    limit: float
    """What an unchanged population exceeds once in 1,000 comparisons."""
    examinations: int
    """How many of the last ones were compared."""
    reference: int
    """With how many."""

    @property
    def drifted(self) -> bool:
        """Whether the population is another one than that of the reference."""
        return self.distance > self.limit


def proposed_threshold(population: Sequence[float], flag_rate: float) -> float:
    """Return the lowest threshold that flags at most this share of ``population``, with the fewest digits.

    Parameters
    ----------
    population
        Scores, 0 to 1, at least one, lowest first.
    flag_rate
        Wanted share, 0 to 1. Where scores are equal, fewer are flagged.
    """
    # 0.07 * 100 is 7.000000000000001: what is meant by a share must not lose an examination to its digits
    flagged = min(math.floor(flag_rate * len(population) + 1e-9), len(population))
    if flagged == len(population):
        return 0.0
    below = population[-flagged - 1]
    above = bisect.bisect_right(population, below)
    if above == len(population):
        return math.nextafter(below, math.inf)
    return _shortest(below, population[above])


def share_flagged(population: Sequence[float], threshold: float) -> float:
    """Return the share of ``population``, lowest first and not empty, at or above ``threshold``."""
    return (len(population) - bisect.bisect_left(population, threshold)) / len(population)


def quantile(population: Sequence[float], share: float) -> float:
    """Return the score that this share of ``population``, lowest first and not empty, does not exceed."""
    return population[max(math.ceil(share * len(population)) - 1, 0)]


def drift(latest: Sequence[float], reference: Sequence[float]) -> Drift:
    """Compare the ``latest`` scores with those of the ``reference``; each lowest first and not empty.

    The two-sample test of Kolmogorov and Smirnov: it needs no classes of scores, sees any kind of change, and
    its limit follows from the two numbers of examinations, here sqrt(ln(2 / 0.001) / 2 * (1 / n + 1 / m)).
    For 200 against 200 that is 19.5 points.
    """
    distance = max(
        abs(
            bisect.bisect_right(latest, score) / len(latest)
            - bisect.bisect_right(reference, score) / len(reference)
        )
        for score in (*latest, *reference)
    )
    numbers = 1 / len(latest) + 1 / len(reference)
    return Drift(
        distance=distance,
        limit=math.sqrt(math.log(2 / _FALSE_ALARMS) / 2 * numbers),
        examinations=len(latest),
        reference=len(reference),
    )


def _shortest(below: float, highest: float) -> float:
    """Return the number above ``below``, at most ``highest``, that is written with the fewest digits."""
    return next(
        (number for digits in _DIGITS if below < (number := round(highest, digits)) <= highest), highest
    )
