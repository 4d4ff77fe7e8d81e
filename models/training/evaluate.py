"""From out-of-fold predictions to every figure that the card and the manifest state, as plain JSON values.

Always per source, never only pooled: classes and scanners go together in these data, and a pooled figure
rewards a network for recognising the scanner. Nothing here needs TensorFlow or the images.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from inference.findings import CLASSES, ClassKey
from models.training import measures
from models.training.predictions import Predictions

SENSITIVITY: Final = 0.9
"""Share of the malignant images that must reach the operating point, out of fold, pooled over the sources."""
CHANCE: Final = 1 / len(CLASSES)
JUDGED_ON: Final = "inbreast"
"""The source whose balanced accuracy must exceed `CHANCE`: all four classes, one scanner, so no shortcut."""

CHOSEN_ON: Final = 0
"""The fold on which recipes were compared while this one was looked for: its figures may flatter."""

_MALIGNANT: Final = CLASSES.index(ClassKey.MALIGNANT)
_ENOUGH: Final = 10
"""Fewer images of a class than this carry no figure of their own."""
_SEED: Final = 1
_DIGITS: Final = 3
_POINT_DIGITS: Final = 4


def evaluate(predictions: Predictions) -> dict[str, Any]:
    """Compute everything that is stated about a model, rounded as it is stated."""
    temperature = round(measures.fit_temperature(predictions.logits, predictions.targets), _DIGITS)
    scores = measures.softmax(predictions.logits, temperature)
    malignant = predictions.targets[:, _MALIGNANT] > 0
    point = measures.operating_point(scores[malignant, _MALIGNANT], SENSITIVITY)
    point = math.floor(point * 10**_POINT_DIGITS) / 10**_POINT_DIGITS  # down, or the rounding costs an image
    sources = sorted(set(predictions.sources), key=lambda name: (-(predictions.sources == name).sum(), name))
    figures = {
        source: _of(predictions.where(predictions.sources == source), temperature, point)
        for source in sources
    }
    return {
        "images": len(predictions.examples),
        "patients": len(set(predictions.patients)),
        "temperature": temperature,
        "log_loss": {
            "before": _round(
                measures.log_loss(measures.softmax(predictions.logits, 1.0), predictions.targets)
            ),
            "after": _round(measures.log_loss(scores, predictions.targets)),
        },
        "operating_point": point,
        "pooled": _of(predictions, temperature, point),
        "sources": figures,
        "devices": _devices(predictions, temperature),
        "chosen_on_fold": CHOSEN_ON,
        "without_that_fold": _untouched(
            predictions.where(predictions.folds != CHOSEN_ON), temperature, point
        ),
        "judged_on": JUDGED_ON,
        "above_chance": JUDGED_ON in figures and figures[JUDGED_ON]["balanced_accuracy"]["low"] > CHANCE,
    }


def _untouched(predictions: Predictions, temperature: float, point: float) -> dict[str, Any]:
    """Compute the two main figures on the folds that had no part in the choice of the recipe."""
    names = sorted(set(predictions.sources))
    parts = {name: predictions.where(predictions.sources == name) for name in names} | {"pooled": predictions}
    figures = {name: _of(part, temperature, point) for name, part in parts.items()}
    return {
        name: {key: its[key] for key in ("images", "balanced_accuracy", "malignant_auc")}
        for name, its in figures.items()
    }


def _of(predictions: Predictions, temperature: float, point: float) -> dict[str, Any]:
    scores = measures.softmax(predictions.logits, temperature)
    targets = predictions.targets
    malignant = targets[:, _MALIGNANT] > 0
    reached = scores[:, _MALIGNANT] >= point
    certain = targets.sum(axis=1) == 1
    truth = targets[certain].argmax(axis=1)
    predicted = scores[certain].argmax(axis=1)
    patients = np.array(predictions.patients)
    labels = Counter(example.label for example in predictions.examples)
    return {
        "images": len(targets),
        "patients": len(set(patients)),
        "labels": dict(sorted(labels.items())),
        "label_certain": int(certain.sum()),
        "accuracy": _round(float((truth == predicted).mean())),
        "balanced_accuracy": _balanced_accuracy(truth, predicted, patients[certain]),
        "malignant_auc": _malignant_auc(malignant, scores[:, _MALIGNANT], patients),
        "confusion": measures.confusion(truth, predicted, len(CLASSES)).tolist(),
        "calibration_error": {
            "before": _round(
                measures.calibration_error(measures.softmax(predictions.logits[certain], 1.0), truth)
            ),
            "after": _round(measures.calibration_error(scores[certain], truth)),
        },
        "at_operating_point": {
            "sensitivity": _round(float(reached[malignant].mean())) if malignant.sum() >= _ENOUGH else None,
            "specificity": _round(float((~reached[~malignant]).mean())),
        },
        "mean_malignant_score": {
            "malignant": _round(float(scores[malignant, _MALIGNANT].mean())) if malignant.any() else None,
            "other": _round(float(scores[~malignant, _MALIGNANT].mean())),
        },
    }


def _balanced_accuracy(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], patients: NDArray[np.str_]
) -> dict[str, Any]:
    kinds = set(np.unique(truth).tolist())
    estimate = measures.with_interval(
        lambda rows: measures.balanced_accuracy(truth[rows], predicted[rows]),
        patients.tolist(),
        seed=_SEED,
        complete=lambda rows: set(np.unique(truth[rows]).tolist()) == kinds,
    )
    return {"classes": len(kinds), "chance": _round(1 / len(kinds)), **_rounded(estimate)}


def _malignant_auc(
    malignant: NDArray[np.bool_], score: NDArray[np.float64], patients: NDArray[np.str_]
) -> dict[str, Any] | None:
    if min(malignant.sum(), (~malignant).sum()) < _ENOUGH:
        return None
    estimate = measures.with_interval(
        lambda rows: measures.auc(malignant[rows], score[rows]),
        patients.tolist(),
        seed=_SEED,
        complete=lambda rows: 0 < malignant[rows].sum() < len(rows),
    )
    return _rounded(estimate)


def _devices(predictions: Predictions, temperature: float) -> dict[str, Any]:
    """Malignant versus rest on each device of a source with several: nothing but the image can help there."""
    scores = measures.softmax(predictions.logits, temperature)[:, _MALIGNANT]
    malignant = predictions.targets[:, _MALIGNANT] > 0
    patients = np.array(predictions.patients)
    scanners = np.array(["/".join(example.scanner) for example in predictions.examples])
    several = sorted({"/".join(example.scanner) for example in predictions.examples if example.device})
    return {
        scanner: {
            "images": int((scanners == scanner).sum()),
            "malignant": int(malignant[scanners == scanner].sum()),
            "malignant_auc": _malignant_auc(
                malignant[scanners == scanner], scores[scanners == scanner], patients[scanners == scanner]
            ),
        }
        for scanner in several
    }


def _round(value: float) -> float:
    return round(value, _DIGITS)


def _rounded(estimate: measures.Estimate) -> dict[str, float]:
    return {"value": _round(estimate.value), "low": _round(estimate.low), "high": _round(estimate.high)}
