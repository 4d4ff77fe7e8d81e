"""From logits to scores that mean what they say, and how far they do.

The temperature (Guo et al. 2017) makes the scores softer or harder. With a bias for each class (vector
scaling without its scales) the classes' frequencies are fitted too: those of the training images, or all
alike, which is what the network is told to expect. What is stated about calibrated scores comes from
cross-fitting: each fold is calibrated with what was fitted on the other folds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from scipy.optimize import minimize
from sklearn.model_selection import GroupKFold

from inference.findings import CLASSES, ClassKey
from models.training.evaluation.bootstrap import Figures, share
from models.training.evaluation.measures import Flags, Floats, Integers, fit_temperature, log_loss, softmax
from models.training.evaluation.predictions import Predictions

BINS: Final = 15
"""Of equal width, for the expected calibration error and the reliability diagram."""

_MALIGNANT: Final = CLASSES.index(ClassKey.MALIGNANT)
_PARTS: Final = 5
_BIAS: Final = 10.0
"""Farthest that a class is set from the first: one that never occurs would go on for ever."""
_SIMULATIONS: Final = 200
"""Of perfect scores, whose mean error is what chance gives."""
_DIGITS: Final = 3


class Method(StrEnum):
    """How scores are calibrated."""

    TEMPERATURE = "temperature"
    VECTOR = "temperature and bias"
    ALIKE = "temperature and bias, classes alike"
    """Each class weighs as much as any other; labels that leave the class open weigh nothing."""
    MALIGNANT_ALIKE = "temperature and malignant bias, classes alike"
    """The same with a bias for Malignant alone: the other three keep their order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """Scores are softmax(logits / temperature + bias)."""

    temperature: float
    bias: tuple[float, ...]

    def scores(self, logits: Floats) -> Floats:
        """Calibrate logits (n, classes)."""
        return softmax(logits / self.temperature + np.array(self.bias), 1.0)


def fit(logits: Floats, targets: Floats, method: Method) -> Calibration:
    """Find the smallest `log_loss`, weighed as ``method`` says; rounded as the manifest states it."""
    first = fit_temperature(logits, targets)
    classes = logits.shape[1]
    if method is Method.TEMPERATURE:
        return Calibration(temperature=round(first, _DIGITS), bias=(0.0,) * classes)

    weights = None if method is Method.VECTOR else _alike(targets)
    # one column for each bias that is free; the first class has none, since only differences count
    free = np.eye(classes)[:, [_MALIGNANT] if method is Method.MALIGNANT_ALIKE else range(1, classes)]

    def cost(numbers: Floats) -> float:
        scores = softmax(logits * np.exp(numbers[0]) + free @ numbers[1:], 1.0)
        return log_loss(scores, targets, weights)

    start = np.append(-np.log(first), np.zeros(free.shape[1]))
    bounds = [(None, None), *[(-_BIAS, _BIAS)] * free.shape[1]]
    optimum = minimize(cost, start, method="L-BFGS-B", bounds=bounds).x
    bias = free @ optimum[1:]
    return Calibration(
        temperature=round(float(np.exp(-optimum[0])), _DIGITS),
        bias=tuple(round(float(number), _DIGITS) for number in bias - bias.mean()),
    )


def cross_fitted(predictions: Predictions, method: Method) -> Floats:
    """Calibrate each fold with what the other folds say; a fold that is alone, by fifths of its patients."""
    scores = np.empty_like(predictions.logits)
    parts = _parts(predictions)
    for part in np.unique(parts):
        inside = parts == part
        fitted = fit(predictions.logits[~inside], predictions.targets[~inside], method)
        scores[inside] = fitted.scores(predictions.logits[inside])
    return scores


def error(confidence: Floats, right: Flags) -> Figures:
    """Make the expected calibration error in `BINS`; both (rows,)."""
    gaps = np.eye(BINS)[numbered(confidence)] * (confidence - right)[:, None]

    def weighted(weights: Floats) -> Floats:
        return share(np.abs(weights @ gaps).sum(axis=1), weights.sum(axis=1))[:, None]

    return weighted


def error_of(confidence: Floats, right: Flags) -> float:
    """Compute the expected calibration error alone; NaN of no rows."""
    return float(error(confidence, right)(np.ones((1, len(confidence))))[0, 0])


def noise(confidence: Floats, *, seed: int) -> float:
    """Compute the error that perfectly calibrated scores would have by chance, on as many rows."""
    drawn = np.random.default_rng(seed).random((_SIMULATIONS, len(confidence))) < confidence
    members = np.eye(BINS)[numbered(confidence)]
    return float(np.abs((confidence - drawn) @ members).sum(axis=1).mean() / len(confidence))


def bins(confidence: Floats, right: Flags) -> tuple[tuple[int, float, float], ...]:
    """List the bins of the reliability diagram that hold rows: rows, mean score, share that is right."""
    numbers = numbered(confidence)
    rows = [numbers == number for number in np.unique(numbers)]
    return tuple(
        (
            int(inside.sum()),
            round(float(confidence[inside].mean()), _DIGITS),
            round(float(right[inside].mean()), _DIGITS),
        )
        for inside in rows
    )


def numbered(confidence: Floats) -> Integers:
    """Find the bin of each score."""
    return np.minimum((confidence * BINS).astype(np.int64), BINS - 1)


def _alike(targets: Floats) -> Floats:
    """Weigh rows so that each class that has certain labels weighs alike: (n,); all, where there is none."""
    certain = targets.sum(axis=1) == 1
    if not certain.any():
        return np.ones(len(targets))
    of_class = certain[:, None] * targets
    return np.asarray(of_class @ (1 / np.maximum(of_class.sum(axis=0), 1)))


def _parts(predictions: Predictions) -> Integers:
    if len(np.unique(predictions.folds)) > 1:
        return predictions.folds
    parts = np.empty(len(predictions.folds), np.int64)
    deal = GroupKFold(min(_PARTS, len(set(predictions.patients))))
    for number, (_, held_out) in enumerate(deal.split(parts, groups=predictions.patients)):
        parts[held_out] = number
    return parts
