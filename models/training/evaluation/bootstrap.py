"""Bootstrap over patients by weights: a patient drawn twice counts twice, one not drawn not at all.

Every figure is a function of weights (draws, rows), so that all draws are computed at once and the figure
itself is the same function with weights of one. Draws in which a figure is not defined (a class is missing,
for example) are left out of its interval, as if they had been drawn again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.training.evaluation.measures import RESAMPLES, Estimate, Floats

Figures: TypeAlias = Callable[[Floats], Floats]
"""Takes weights (draws, rows), gives figures (draws, figures); NaN where one is not defined."""

SEED: Final = 1
_INTERVAL: Final = (2.5, 97.5)
"""Percentiles: the middle 95 % (Efron 1979, percentile method)."""
_CHUNK: Final = 1 << 19
"""Weights at a time: they stay in the processor's cache."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Draws:
    """How often each patient was drawn in each of the samples."""

    counts: NDArray[np.int16]
    """(draws, patients)."""
    patient: NDArray[np.int64]
    """Number of each row's patient."""

    def estimates(self, figures: Figures) -> list[Estimate | None]:
        """Compute figures with their 95 % intervals; None where one is not defined."""
        values = figures(np.ones((1, len(self.patient))))[0]
        step = max(1, _CHUNK // len(self.patient))
        drawn = np.concatenate(
            [
                figures(self.counts[start : start + step, self.patient].astype(np.float64))
                for start in range(0, len(self.counts), step)
            ]
        )
        return [_estimate(float(value), column) for value, column in zip(values, drawn.T, strict=True)]

    def estimate(self, figures: Figures) -> Estimate | None:
        """Compute the first figure with its interval."""
        return self.estimates(figures)[0]


def draw(patients: Sequence[str], *, resamples: int = RESAMPLES, seed: int = SEED) -> Draws:
    """Draw as many patients as there are, with repetition, ``resamples`` times; given each row's patient."""
    names, patient = np.unique(np.asarray(patients), return_inverse=True)
    return Draws(counts=_counts(len(names), resamples, seed), patient=patient)


@functools.lru_cache(maxsize=4)
def _counts(patients: int, resamples: int, seed: int) -> NDArray[np.int16]:
    """Draw; kept, since a group's images and breasts are of the same patients: (resamples, patients)."""
    chances = np.full(patients, 1 / patients)
    counts = np.random.default_rng(seed).multinomial(patients, chances, size=resamples).astype(np.int16)
    counts.flags.writeable = False
    return counts


def share(numerator: Floats, denominator: Floats) -> Floats:
    """Divide; NaN where there is nothing to divide by."""
    shares = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=shares, where=np.asarray(denominator) > 0)
    return shares


def _estimate(value: float, drawn: Floats) -> Estimate | None:
    defined = drawn[~np.isnan(drawn)]
    if np.isnan(value) or not len(defined):
        return None
    low, high = np.percentile(defined, _INTERVAL)
    return Estimate(value=value, low=float(low), high=float(high))
