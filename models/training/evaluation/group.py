"""Every figure of one group of images or breasts (a source, a device, all), rounded as they are stated.

Partial labels (mini-MIAS Benign, RSNA Negative) leave two classes open: they count where Malignant is told
from the rest, which every label decides, and in nothing that needs the one right class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from sklearn.metrics import confusion_matrix

from inference.findings import CLASSES, ClassKey
from models.training.evaluation import bootstrap, calibration, judged, labelling, points, ranking
from models.training.evaluation.bootstrap import SEED, Draws
from models.training.evaluation.figures import (
    BalancedAccuracy,
    BreastFigures,
    CalibrationError,
    CalibrationErrors,
    ClassFigures,
    Constancy,
    GroupFigures,
    ImageFigures,
    MeanScores,
    NumberOfViews,
    PointFigures,
    UnitFigures,
)
from models.training.evaluation.judged import MALIGNANT, Judged
from models.training.evaluation.measures import Estimate, Flags, Floats, rounded, stated
from models.training.evaluation.points import Rule
from models.training.evaluation.scored import Scored, Unit

ENOUGH: Final = 10
"""Fewer images or breasts of a class than this carry no figure of their own."""
CONSTANT_SHARE: Final = 0.95
"""A class that is predicted for more than this share is a constant output."""
CONSTANT_SPREAD: Final = 0.01
"""Scores of a class whose standard deviation is below this are one."""

Named: TypeAlias = dict[str, Estimate | None]
"""Figures by their names."""


class _Labelled(NamedTuple):
    """What needs the one right class; see `UnitFigures`."""

    accuracy: Estimate | None
    balanced_accuracy: BalancedAccuracy | None
    macro_f1: Estimate | None
    classes: dict[ClassKey, ClassFigures]
    confusion: tuple[tuple[int, ...], ...] | None


def images_and_breasts(scored: Scored, thresholds: Mapping[Rule, float]) -> GroupFigures:
    """Compute all figures per image and per breast."""
    examples, common = _figures(scored, thresholds, judged.images)
    return GroupFigures(images=examples, per_breast=_breasts(scored, thresholds), **_fields(common))


def images(scored: Scored, thresholds: Mapping[Rule, float]) -> ImageFigures:
    """Compute all figures per image."""
    examples, common = _figures(scored, thresholds, judged.images)
    return ImageFigures(images=examples, **_fields(common))


def _breasts(scored: Scored, thresholds: Mapping[Rule, float]) -> BreastFigures:
    breasts, common = _figures(scored, thresholds, judged.breasts)
    return BreastFigures(breasts=breasts, number_of_views=_by_views(scored), **_fields(common))


def _fields(figures: UnitFigures) -> dict[str, Any]:
    return {part.name: getattr(figures, part.name) for part in fields(UnitFigures)}


def _figures(scored: Scored, thresholds: Mapping[Rule, float], unit: Unit) -> tuple[int, UnitFigures]:
    """Compute the number of images or breasts, and their figures; None where there are too few rows."""
    raw, shipped, honest = scored.judged(unit)
    draws = bootstrap.draw(shipped.patients, resamples=scored.resamples)
    certain = _certain(draws, shipped)
    labelled = _labelled(certain, shipped)
    malignant = _ranked(draws, shipped.malignant, shipped.scores[:, MALIGNANT])
    return len(shipped.examples), UnitFigures(
        patients=len(set(shipped.patients)),
        labels=dict(sorted(Counter(example.label for example in shipped.examples).items())),
        label_certain=int(shipped.certain.sum()),
        accuracy=labelled.accuracy,
        balanced_accuracy=labelled.balanced_accuracy,
        macro_f1=labelled.macro_f1,
        classes=labelled.classes,
        confusion=labelled.confusion,
        malignant_auc=malignant["auc"],
        malignant_average_precision=malignant["average_precision"],
        malignant_sensitivity_at_specificity=malignant["sensitivity_at_specificity"],
        malignant_specificity_at_sensitivity=malignant["specificity_at_sensitivity"],
        calibration_error=_calibration(draws, certain, raw, honest),
        at_operating_points={rule: _at_point(draws, shipped, point) for rule, point in thresholds.items()},
        mean_malignant_score=_means(draws, shipped),
        constant_output=_constancy(shipped),
    )


def _by_views(scored: Scored) -> NumberOfViews:
    """Measure what the number of views alone says: it must not say more than the images do."""
    shipped = judged.breasts(scored.predictions.examples, scored.shipped)
    draws = bootstrap.draw(shipped.patients, resamples=scored.resamples)
    return NumberOfViews(
        malignant_auc_of_number=_ranked(draws, shipped.malignant, shipped.views.astype(np.float64))["auc"],
    )


def _certain(draws: Draws, shipped: Judged) -> Draws:
    """Draw among the patients whose label is certain."""
    rows = shipped.certain
    if rows.all() or not rows.any():
        return draws
    patients = [name for name, keep in zip(shipped.patients, rows, strict=True) if keep]
    return bootstrap.draw(patients, resamples=len(draws.counts))


def _labelled(draws: Draws, shipped: Judged) -> _Labelled:
    """Compute what needs the one right class, on the rows whose label is certain."""
    rows = shipped.certain
    if not rows.any():
        return _Labelled(None, None, None, {}, None)
    truth, predicted = shipped.targets[rows].argmax(axis=1), shipped.predicted[rows]
    estimates = [
        stated(estimate) for estimate in draws.estimates(labelling.figures(truth, predicted, len(CLASSES)))
    ]
    accuracy, balanced, macro_f1, *by_class = estimates
    kinds = np.unique(truth).tolist()
    of_class = dict(zip(labelling.names(kinds), by_class, strict=True))
    interval = {} if balanced is None else asdict(balanced)
    table = confusion_matrix(truth, predicted, labels=range(len(CLASSES))).tolist()
    return _Labelled(
        accuracy=accuracy,
        balanced_accuracy=BalancedAccuracy(classes=len(kinds), chance=rounded(1 / len(kinds)), **interval),
        macro_f1=macro_f1,
        classes={
            CLASSES[kind]: _class(
                int((truth == kind).sum()),
                {name: of_class[kind, name] for name in labelling.BY_CLASS},
                _ranked(draws, truth == kind, shipped.scores[rows, kind]),
            )
            for kind in kinds
        },
        confusion=tuple(tuple(row) for row in table),
    )


def _class(count: int, labelled: Named, ranked: Named) -> ClassFigures:
    enough = count >= ENOUGH
    return ClassFigures(
        count=count,
        precision=labelled["precision"] if enough else None,
        recall=labelled["recall"] if enough else None,
        f1=labelled["f1"] if enough else None,
        auc=ranked["auc"],
        average_precision=ranked["average_precision"],
    )


def _ranked(draws: Draws, positive: Flags, score: Floats) -> Named:
    """Compute the figures of `ranking.NAMES` by their names."""
    if min(positive.sum(), (~positive).sum()) < ENOUGH:
        return dict.fromkeys(ranking.NAMES)
    estimates = draws.estimates(ranking.figures(positive, score))
    return dict(zip(ranking.NAMES, map(stated, estimates), strict=True))


def _calibration(draws: Draws, certain: Draws, raw: Judged, honest: Judged) -> CalibrationErrors:
    """Compute the calibration errors: of the label where it is certain, of the malignant score everywhere."""
    rows = honest.certain
    malignant = _error(
        draws, raw.scores[:, MALIGNANT], raw.malignant, honest.scores[:, MALIGNANT], honest.malignant
    )
    if not rows.any():
        return CalibrationErrors(malignant=malignant)
    truth = honest.targets[rows].argmax(axis=1)
    label = _error(
        certain,
        raw.confidence[rows],
        raw.predicted[rows] == truth,
        honest.confidence[rows],
        honest.predicted[rows] == truth,
    )
    return CalibrationErrors(malignant=malignant, label=label)


def _error(draws: Draws, raw: Floats, raw_right: Flags, honest: Floats, right: Flags) -> CalibrationError:
    return CalibrationError(
        before=stated(draws.estimate(calibration.error(raw, raw_right))),
        after=stated(draws.estimate(calibration.error(honest, right))),
        by_chance=rounded(calibration.noise(honest, seed=SEED)),
        bins=calibration.bins(honest, right),
    )


def _at_point(draws: Draws, shipped: Judged, point: float) -> PointFigures:
    sensitivity, specificity = draws.estimates(
        points.figures(shipped.malignant, shipped.scores[:, MALIGNANT], point)
    )
    enough = shipped.malignant.sum() >= ENOUGH
    return PointFigures(sensitivity=stated(sensitivity) if enough else None, specificity=stated(specificity))


def _means(draws: Draws, shipped: Judged) -> MeanScores:
    score = shipped.scores[:, MALIGNANT]

    def mean_of(rows: Flags) -> Estimate | None:
        if rows.sum() < ENOUGH:
            return None
        return stated(
            draws.estimate(lambda weights: bootstrap.share(weights @ (rows * score), weights @ rows)[:, None])
        )

    return MeanScores(malignant=mean_of(shipped.malignant), rest=mean_of(~shipped.malignant))


def _constancy(shipped: Judged) -> Constancy:
    """Check that the output depends on the image: how often each class is said, how far its score spreads."""
    shares = np.bincount(shipped.predicted, minlength=len(CLASSES)) / len(shipped.predicted)
    spreads = shipped.scores.std(axis=0)
    return Constancy(
        predicted_share=dict(zip(CLASSES, map(rounded, shares.tolist()), strict=True)),
        score_spread=dict(zip(CLASSES, map(rounded, spreads.tolist()), strict=True)),
        constant=bool(shares.max() > CONSTANT_SHARE or spreads.min() < CONSTANT_SPREAD),
    )
