"""From out-of-fold predictions to every figure that the card and the manifest state, as typed values.

Always per source, never only pooled: classes and scanners go together in these data, and a pooled figure
rewards a network for recognising the scanner. Nothing here needs TensorFlow or the images; what does (the
pointing game, for example) is measured elsewhere and taken in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from typing import Final

import numpy as np

from inference.findings import CLASSES
from models.training.evaluation import (
    bars,
    bootstrap,
    calibration,
    flag_thresholds,
    group,
    judged,
    labelling,
    measures,
    points,
    ranking,
    scored,
)
from models.training.evaluation.bootstrap import Draws
from models.training.evaluation.calibration import Method
from models.training.evaluation.figures import (
    CalibrationFigures,
    Evaluation,
    Folds,
    GroupFigures,
    LogLoss,
    MainFigures,
    MethodErrors,
    MethodFigures,
    NormalFigures,
    NormalPair,
    NormalScores,
)
from models.training.evaluation.group import ENOUGH
from models.training.evaluation.judged import MALIGNANT
from models.training.evaluation.measured import Measured
from models.training.evaluation.measures import RESAMPLES, Estimate, Flags, Floats, rounded, stated
from models.training.evaluation.points import Rule
from models.training.evaluation.predictions import Predictions
from models.training.evaluation.scored import Scored
from models.training.sources.folds import FOLDS

CHANCE: Final = 1 / len(CLASSES)
JUDGED_ON: Final = "inbreast"
"""The source whose balanced accuracy must exceed `CHANCE`: all four classes, one scanner, so no shortcut."""

CHOSEN_ON: Final = (0, 1, 2)
"""Folds on which recipes were compared while those that ship were looked for: their figures may flatter."""

NO_MEASUREMENT: Final = Measured()
_NORMAL: Final = ("Normal", "Negative")
"""Labels of images without a finding."""
_CHANCE_AREA: Final = 0.5


def evaluate(
    predictions: Predictions,
    *,
    rule: Rule = Rule.SENSITIVITY,
    method: Method = Method.TEMPERATURE,
    measured: Measured = NO_MEASUREMENT,
    resamples: int = RESAMPLES,
) -> Evaluation:
    """Compute everything that is stated about a model, rounded as it is stated.

    Parameters
    ----------
    rule
        How the one operating point of the manifest is chosen; all of them are computed.
    method
        How the shipped scores are calibrated; all ways are compared.
    measured
        What was measured with the images or the network.
    resamples
        Bootstrap samples behind each interval; the card speaks of the default.
    """
    fitted, whole = scored.score(predictions, method, resamples=resamples)
    images = judged.images(predictions.examples, whole.shipped)
    thresholds = {
        choice: points.choose(choice, images.malignant, images.scores[:, MALIGNANT]) for choice in Rule
    }
    parts = _by_source(whole)
    sources = {name: group.images_and_breasts(part, thresholds) for name, part in parts.items()}
    breasts = flag_thresholds.breasts(predictions, whole.shipped)
    figures = Evaluation(
        images=len(predictions.examples),
        patients=len(set(predictions.patients)),
        folds=Folds(held_out=tuple(np.unique(predictions.folds).tolist()), of=FOLDS),
        temperature=fitted.temperature,
        calibration=CalibrationFigures(method=method, bias=fitted.bias, compared=_methods(predictions)),
        log_loss=LogLoss(
            before=rounded(measures.log_loss(whole.raw, predictions.targets)),
            after=rounded(measures.log_loss(whole.honest, predictions.targets)),
        ),
        rule=rule,
        operating_point=thresholds[rule],
        operating_points=thresholds,
        pooled=group.images_and_breasts(whole, thresholds),
        sources=sources,
        devices={name: group.images(part, thresholds) for name, part in _by_device(whole).items()},
        chosen_on_folds=CHOSEN_ON,
        without_those_folds=_untouched(whole, thresholds),
        known_shares={name: labelling.with_known_shares(part) for name, part in parts.items()},
        normals=_normals(whole),
        flags=flag_thresholds.choose(breasts),
        own_thresholds=flag_thresholds.on_own_normals(breasts),
        judged_on=JUDGED_ON,
        above_chance=_above_chance(sources.get(JUDGED_ON)),
        bars=(),
        training=measured.training,
        telling_sources=measured.telling_sources,
        pointing=measured.pointing,
        robustness=measured.robustness,
        gate=measured.gate,
        cost=measured.cost,
    )
    return replace(figures, bars=bars.judge(figures))


def _above_chance(figures: GroupFigures | None) -> bool:
    """Tell whether all of the interval of the balanced accuracy lies above chance."""
    if figures is None or figures.balanced_accuracy is None or figures.balanced_accuracy.low is None:
        return False
    return figures.balanced_accuracy.low > CHANCE


def _by_source(whole: Scored) -> dict[str, Scored]:
    """Split by source, the largest one first."""
    sources = whole.predictions.sources
    names = sorted(set(sources.tolist()), key=lambda name: (-(sources == name).sum(), name))
    return {name: whole.subset(sources == name) for name in names}


def _by_device(whole: Scored) -> dict[str, Scored]:
    """Split sources with several devices by device: nothing but the image can help there."""
    examples = whole.predictions.examples
    devices = np.array(["/".join(example.scanner) for example in examples])
    several = sorted({"/".join(example.scanner) for example in examples if example.device})
    return {name: whole.subset(devices == name) for name in several}


def _untouched(whole: Scored, thresholds: Mapping[Rule, float]) -> dict[str, MainFigures]:
    """Compute the two main figures on the folds that had no part in the choice of the recipe."""
    rows = ~np.isin(whole.predictions.folds, CHOSEN_ON)
    if not rows.any():
        return {}
    untouched = whole.subset(rows)
    parts = {**_by_source(untouched), "pooled": untouched}
    groups = {name: group.images(part, thresholds) for name, part in parts.items()}
    return {
        name: MainFigures(
            images=figures.images,
            balanced_accuracy=figures.balanced_accuracy,
            malignant_auc=figures.malignant_auc,
        )
        for name, figures in groups.items()
    }


def _methods(predictions: Predictions) -> dict[Method, MethodFigures]:
    """Compare the ways of calibration, each cross-fitted: log loss, and both errors of each source."""
    errors = {}
    for method in Method:
        fitted, whole = scored.score(predictions, method)
        errors[method] = MethodFigures(
            temperature=fitted.temperature,
            bias=fitted.bias,
            log_loss=rounded(measures.log_loss(whole.honest, predictions.targets)),
            calibration_error={name: _errors(part) for name, part in _by_source(whole).items()},
        )
    return errors


def _errors(part: Scored) -> MethodErrors:
    images = judged.images(part.predictions.examples, part.honest)
    rows, truth = images.certain, images.targets.argmax(axis=1)
    label = calibration.error_of(images.confidence[rows], (images.predicted == truth)[rows])
    return MethodErrors(
        label=rounded(label) if rows.any() else None,
        malignant=rounded(calibration.error_of(images.scores[:, MALIGNANT], images.malignant)),
    )


def _normals(scored: Scored) -> NormalFigures:
    """Compute each source's mean score of normals, and the area under the curve between each two sources.

    It is a trace of the scanner shortcut. If a score said nothing about the scanner, the normals of two
    sources could not be told apart by it: an area under the curve of 0.5. The films and the women differ
    too, so that a difference is no proof; its absence is.
    """
    normal = np.array([example.label in _NORMAL for example in scored.predictions.examples])
    images = judged.images(scored.subset(normal).predictions.examples, scored.shipped[normal])
    sources = np.array([example.source for example in images.examples])
    patients = np.array(images.patients)
    score = images.scores[:, MALIGNANT]

    def drawn(rows: Flags) -> Draws:
        return bootstrap.draw(patients[rows].tolist(), resamples=scored.resamples)

    names = [name for name in np.unique(sources).tolist() if (sources == name).sum() >= ENOUGH]
    pairs = []
    for first, second in combinations(names, 2):
        rows = (sources == first) | (sources == second)
        area = stated(drawn(rows).estimate(ranking.figures(sources[rows] == second, score[rows])))
        if area is not None:
            pairs.append(_ordered(first, second, area))
    means = {name: _mean_score(score[sources == name], drawn(sources == name)) for name in names}
    return NormalFigures(
        sources={
            name: NormalScores(images=int((sources == name).sum()), mean_malignant_score=stated(mean))
            for name, mean in means.items()
        },
        pairs=tuple(pairs),
        farthest_from_chance=max((rounded(pair.auc.value - _CHANCE_AREA) for pair in pairs), default=None),
    )


def _mean_score(score: Floats, draws: Draws) -> Estimate | None:
    return draws.estimate(lambda weights: bootstrap.share(weights @ score, weights.sum(axis=1))[:, None])


def _ordered(first: str, second: str, area: Estimate) -> NormalPair:
    """Name the source with the higher scores as such, so that the area is at least one half."""
    if area.value >= _CHANCE_AREA:
        return NormalPair(lower=first, higher=second, auc=area)
    turned = Estimate(value=rounded(1 - area.value), low=rounded(1 - area.high), high=rounded(1 - area.low))
    return NormalPair(lower=second, higher=first, auc=turned)
