"""Every figure of one group of images or breasts (a source, a device, all), as plain rounded values.

Partial labels (mini-MIAS Benign, RSNA Negative) leave two classes open: they count where Malignant is told
from the rest, which every label decides, and in nothing that needs the one right class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from sklearn.metrics import confusion_matrix

from inference.findings import CLASSES
from models.training.evaluation import bootstrap, calibration, judged, labelling, points, ranking
from models.training.evaluation.bootstrap import SEED, Draws
from models.training.evaluation.judged import MALIGNANT, Judged
from models.training.evaluation.measures import Flags, Floats
from models.training.evaluation.points import Rule
from models.training.evaluation.rounding import rounded, stated
from models.training.evaluation.scored import Scored, Unit

ENOUGH: Final = 10
"""Fewer images or breasts of a class than this carry no figure of their own."""
CONSTANT_SHARE: Final = 0.95
"""A class that is predicted for more than this share is a constant output."""
CONSTANT_SPREAD: Final = 0.01
"""Scores of a class whose standard deviation is below this are one."""

UNITS: Final[Mapping[str, Unit]] = MappingProxyType({"images": judged.images, "breasts": judged.breasts})


def both(scored: Scored, thresholds: Mapping[Rule, float]) -> dict[str, Any]:
    """Compute all figures per image and, below ``per_breast``, per breast."""
    per_breast = figures(scored, thresholds, "breasts") | {"number_of_views": _by_views(scored)}
    return {**figures(scored, thresholds, "images"), "per_breast": per_breast}


def figures(scored: Scored, thresholds: Mapping[Rule, float], unit: str) -> dict[str, Any]:
    """Compute all figures for one of `UNITS`; None where there are too few rows for a figure."""
    raw, shipped, honest = scored.judged(UNITS[unit])
    draws = bootstrap.draw(shipped.patients, resamples=scored.resamples)
    certain = _certain(draws, shipped)
    malignant = _ranked(draws, shipped.malignant, shipped.scores[:, MALIGNANT])
    return {
        unit: len(shipped.examples),
        "patients": len(set(shipped.patients)),
        "labels": dict(sorted(Counter(example.label for example in shipped.examples).items())),
        "label_certain": int(shipped.certain.sum()),
        **_labelled(certain, shipped),
        **{f"malignant_{name}": figure for name, figure in malignant.items()},
        "calibration_error": _calibration(draws, certain, raw, honest),
        "at_operating_points": {
            rule.value: _at_point(draws, shipped, point) for rule, point in thresholds.items()
        },
        "mean_malignant_score": _means(draws, shipped),
        "constant_output": _constancy(shipped),
    }


def _by_views(scored: Scored) -> dict[str, Any]:
    """Measure what the number of views alone says, and the mean over the views, which does not know it.

    Where malignant breasts have more images in the data, the highest of their scores is higher for that
    reason alone, and a figure per breast flatters.
    """
    _, shipped, _ = scored.judged(judged.breasts)
    draws = bootstrap.draw(shipped.patients, resamples=scored.resamples)
    return {
        "malignant_auc_of_number": _ranked(draws, shipped.malignant, shipped.views.astype(np.float64))["auc"],
        "malignant_auc_of_mean": _ranked(draws, shipped.malignant, shipped.mean_malignant)["auc"],
    }


def _certain(draws: Draws, shipped: Judged) -> Draws:
    """Draw among the patients whose label is certain."""
    rows = shipped.certain
    if rows.all() or not rows.any():
        return draws
    kept = [name for name, keep in zip(shipped.patients, rows, strict=True) if keep]
    return bootstrap.draw(kept, resamples=len(draws.counts))


def _labelled(draws: Draws, shipped: Judged) -> dict[str, Any]:
    """Compute what needs the one right class, on the rows whose label is certain."""
    rows = shipped.certain
    if not rows.any():
        return dict.fromkeys((*labelling.WHOLE, "confusion")) | {"classes": {}}
    truth, predicted = shipped.targets[rows].argmax(axis=1), shipped.predicted[rows]
    estimates = [stated(one) for one in draws.estimates(labelling.figures(truth, predicted, len(CLASSES)))]
    whole = dict(zip(labelling.WHOLE, estimates, strict=False))
    kinds = np.unique(truth).tolist()
    classes: dict[str, Any] = {CLASSES[kind].value: {"count": int((truth == kind).sum())} for kind in kinds}
    for (kind, name), estimate in zip(labelling.names(kinds), estimates[len(whole) :], strict=True):
        its = classes[CLASSES[kind].value]
        its[name] = estimate if its["count"] >= ENOUGH else None
    for kind in kinds:
        ranked = _ranked(draws, truth == kind, shipped.scores[rows, kind])
        classes[CLASSES[kind].value] |= {name: ranked[name] for name in ("auc", "average_precision")}
    balanced = {
        "classes": len(kinds),
        "chance": rounded(1 / len(kinds)),
        **(whole["balanced_accuracy"] or {}),
    }
    return {
        **whole,
        "balanced_accuracy": balanced,
        "classes": classes,
        "confusion": confusion_matrix(truth, predicted, labels=range(len(CLASSES))).tolist(),
    }


def _ranked(draws: Draws, positive: Flags, score: Floats) -> dict[str, Any]:
    if min(positive.sum(), (~positive).sum()) < ENOUGH:
        return dict.fromkeys(ranking.NAMES)
    estimates = draws.estimates(ranking.figures(positive, score))
    return dict(zip(ranking.NAMES, map(stated, estimates), strict=True))


def _calibration(draws: Draws, certain: Draws, raw: Judged, honest: Judged) -> dict[str, Any]:
    """Compute the calibration errors: of the label where it is certain, of the malignant score everywhere."""
    rows = honest.certain
    found: dict[str, Any] = {
        "malignant": _error(
            draws, raw.scores[:, MALIGNANT], raw.malignant, honest.scores[:, MALIGNANT], honest.malignant
        )
    }
    if rows.any():
        truth = honest.targets[rows].argmax(axis=1)
        found["label"] = _error(
            certain,
            raw.confidence[rows],
            raw.predicted[rows] == truth,
            honest.confidence[rows],
            honest.predicted[rows] == truth,
        )
    return found


def _error(draws: Draws, raw: Floats, raw_right: Flags, honest: Floats, right: Flags) -> dict[str, Any]:
    return {
        "before": stated(draws.estimate(calibration.error(raw, raw_right))),
        "after": stated(draws.estimate(calibration.error(honest, right))),
        "by_chance": rounded(calibration.noise(honest, seed=SEED)),
        "bins": calibration.bins(honest, right),
    }


def _at_point(draws: Draws, shipped: Judged, point: float) -> dict[str, Any]:
    sensitivity, specificity = draws.estimates(
        points.figures(shipped.malignant, shipped.scores[:, MALIGNANT], point)
    )
    enough = shipped.malignant.sum() >= ENOUGH
    return {"sensitivity": stated(sensitivity) if enough else None, "specificity": stated(specificity)}


def _means(draws: Draws, shipped: Judged) -> dict[str, Any]:
    score = shipped.scores[:, MALIGNANT]

    def mean_of(rows: Flags) -> dict[str, float] | None:
        if rows.sum() < ENOUGH:
            return None
        return stated(
            draws.estimate(lambda weights: bootstrap.share(weights @ (rows * score), weights @ rows)[:, None])
        )

    return {"malignant": mean_of(shipped.malignant), "other": mean_of(~shipped.malignant)}


def _constancy(shipped: Judged) -> dict[str, Any]:
    """Check that the output depends on the image: how often each class is said, how far its score spreads."""
    shares = np.bincount(shipped.predicted, minlength=len(CLASSES)) / len(shipped.predicted)
    spreads = shipped.scores.std(axis=0)
    keys = [key.value for key in CLASSES]
    return {
        "predicted_share": dict(zip(keys, map(rounded, shares.tolist()), strict=True)),
        "score_spread": dict(zip(keys, map(rounded, spreads.tolist()), strict=True)),
        "constant": bool(shares.max() > CONSTANT_SHARE or spreads.min() < CONSTANT_SPREAD),
    }
