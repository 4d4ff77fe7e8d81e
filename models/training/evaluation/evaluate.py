"""From out-of-fold predictions to every figure that the card and the manifest state, as plain JSON values.

Always per source, never only pooled: classes and scanners go together in these data, and a pooled figure
rewards a network for recognising the scanner. Nothing here needs TensorFlow or the images; what does (the
pointing game, for example) is measured elsewhere and put into its slot.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from inference.findings import CLASSES
from models.training.evaluation import (
    bars,
    calibration,
    group,
    known_shares,
    measures,
    normals,
    points,
    scored,
)
from models.training.evaluation.calibration import Method
from models.training.evaluation.judged import MALIGNANT
from models.training.evaluation.measures import RESAMPLES
from models.training.evaluation.points import Rule
from models.training.evaluation.predictions import Predictions
from models.training.evaluation.rounding import rounded
from models.training.evaluation.scored import Scored
from models.training.sources.folds import FOLDS

CHANCE: Final = 1 / len(CLASSES)
JUDGED_ON: Final = "inbreast"
"""The source whose balanced accuracy must exceed `CHANCE`: all four classes, one scanner, so no shortcut."""

CHOSEN_ON: Final = (0, 1, 2)
"""Folds on which recipes were compared while those that ship were looked for: their figures may flatter."""

SLOTS: Final = ("training", "telling_sources", "pointing", "robustness", "gate", "cost")
"""What is measured with the images or the network and kept as it was measured."""

_UNTOUCHED: Final = ("images", "balanced_accuracy", "malignant_auc")


def evaluate(
    predictions: Predictions,
    *,
    rule: Rule = Rule.SENSITIVITY,
    method: Method = Method.TEMPERATURE,
    slots: Mapping[str, Any] | None = None,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Compute everything that is stated about a model, rounded as it is stated.

    Parameters
    ----------
    rule
        How the one operating point of the manifest is chosen; all of them are computed.
    method
        How the shipped scores are calibrated; all ways are compared.
    slots
        What was measured elsewhere, by the names in `SLOTS`; other names are left out.
    resamples
        Bootstrap samples behind each interval; the card speaks of the default.
    """
    fitted, whole = scored.score(predictions, method, resamples=resamples)
    images = group.UNITS["images"](predictions.examples, whole.shipped)
    thresholds = {its: points.choose(its, images.malignant, images.scores[:, MALIGNANT]) for its in Rule}
    parts = _by_source(whole)
    figures: dict[str, Any] = {
        "images": len(predictions.examples),
        "patients": len(set(predictions.patients)),
        "folds": {"held_out": np.unique(predictions.folds).tolist(), "of": FOLDS},
        "temperature": fitted.temperature,
        "calibration": {"method": method.value, "bias": list(fitted.bias), "compared": _methods(predictions)},
        "log_loss": {
            "before": rounded(measures.log_loss(whole.raw, predictions.targets)),
            "after": rounded(measures.log_loss(whole.honest, predictions.targets)),
        },
        "rule": rule.value,
        "operating_point": thresholds[rule],
        "operating_points": {its.value: point for its, point in thresholds.items()},
        "pooled": group.both(whole, thresholds),
        "sources": {name: group.both(part, thresholds) for name, part in parts.items()},
        "devices": {
            name: group.figures(part, thresholds, "images") for name, part in _by_device(whole).items()
        },
        "chosen_on_folds": list(CHOSEN_ON),
        "without_those_folds": _untouched(whole, thresholds),
        "known_shares": {name: known_shares.figures(part) for name, part in parts.items()},
        "normals": normals.compare(whole),
        "judged_on": JUDGED_ON,
    }
    judged = figures["sources"].get(JUDGED_ON, {}).get("balanced_accuracy") or {}
    figures["above_chance"] = judged.get("low", 0) > CHANCE
    figures |= {name: slots[name] for name in SLOTS if slots and name in slots}
    return figures | {"bars": bars.judge(figures)}


def _by_source(whole: Scored) -> dict[str, Scored]:
    """Split by source, the largest one first."""
    sources = whole.predictions.sources
    names = sorted(set(sources.tolist()), key=lambda name: (-(sources == name).sum(), name))
    return {name: whole.where(sources == name) for name in names}


def _by_device(whole: Scored) -> dict[str, Scored]:
    """Split sources with several devices by device: nothing but the image can help there."""
    examples = whole.predictions.examples
    devices = np.array(["/".join(example.scanner) for example in examples])
    several = sorted({"/".join(example.scanner) for example in examples if example.device})
    return {name: whole.where(devices == name) for name in several}


def _untouched(whole: Scored, thresholds: Mapping[Rule, float]) -> dict[str, Any]:
    """Compute the two main figures on the folds that had no part in the choice of the recipe."""
    rows = ~np.isin(whole.predictions.folds, CHOSEN_ON)
    if not rows.any():
        return {}
    part = whole.where(rows)
    found = {
        name: group.figures(its, thresholds, "images")
        for name, its in {**_by_source(part), "pooled": part}.items()
    }
    return {name: {key: its[key] for key in _UNTOUCHED} for name, its in found.items()}


def _methods(predictions: Predictions) -> dict[str, Any]:
    """Compare the ways of calibration, each cross-fitted: log loss, and both errors of each source."""
    found: dict[str, Any] = {}
    for method in Method:
        fitted, whole = scored.score(predictions, method)
        errors = {name: _errors(part) for name, part in _by_source(whole).items()}
        found[method.value] = {
            "temperature": fitted.temperature,
            "bias": list(fitted.bias),
            "log_loss": rounded(measures.log_loss(whole.honest, predictions.targets)),
            "calibration_error": errors,
        }
    return found


def _errors(part: Scored) -> dict[str, float | None]:
    judged = group.UNITS["images"](part.predictions.examples, part.honest)
    rows, truth = judged.certain, judged.targets.argmax(axis=1)
    label = calibration.error_of(judged.confidence[rows], (judged.predicted == truth)[rows])
    return {
        "label": rounded(label) if rows.any() else None,
        "malignant": rounded(calibration.error_of(judged.scores[:, MALIGNANT], judged.malignant)),
    }
