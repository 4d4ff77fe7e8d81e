"""What the network was to reach, in one place, and whether it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from models.training.evaluation.figures import Evaluation, GroupFigures, KnownShares, Verdict
from models.training.evaluation.flag_thresholds import SPECIFICITY
from models.training.evaluation.measures import Estimate, rounded

Stated: TypeAlias = Estimate | float | None
"""A figure with its interval or without; None where it was not measured."""

LARGE: Final = ("rsna", "cbis-ddsm", "inbreast", "mini-mias")
"""The sources with enough images to ask for calibration."""
BOXED: Final = ("cbis-ddsm", "inbreast", "mini-mias")
"""The sources whose lesions have boxes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One figure of the evaluation and what it is to reach."""

    figure: str
    find: Callable[[Evaluation], Sequence[Stated]]
    """Finds the figure in the evaluation; of several, the worst counts."""
    reach: float
    at_most: bool = False
    """Whether less is better."""


def _of_source(
    source: str, find: Callable[[GroupFigures], Stated]
) -> Callable[[Evaluation], Sequence[Stated]]:
    return lambda figures: [find(figures.sources[source])] if source in figures.sources else []


def _auc(source: str, words: str, reach: float) -> Bar:
    return Bar(
        figure=f"{words}: malignant against rest by breast, AUC",
        find=_of_source(source, lambda group: group.per_breast.malignant_auc),
        reach=reach,
    )


def _flagged(source: str, words: str) -> Bar:
    """Ask how many normal breasts the default flags."""

    def share(figures: Evaluation) -> Sequence[Stated]:
        point = figures.flags.get(SPECIFICITY)
        if point is None or source not in point.specificity:
            return []
        return [rounded(1 - point.specificity[source])]

    return Bar(figure=f"{words}: normal breasts flagged by default", find=share, reach=0.12, at_most=True)


def _detected(source: str, words: str, reach: float) -> Bar:
    """Ask how many malignant breasts the default flags."""

    def share(figures: Evaluation) -> Sequence[Stated]:
        point = figures.flags.get(SPECIFICITY)
        return [] if point is None or source not in point.sensitivity else [point.sensitivity[source]]

    return Bar(figure=f"{words}: malignant breasts flagged by default", find=share, reach=reach)


def _flagged_after_calibration(source: str, words: str) -> Bar:
    """Ask how many normal breasts the source's own threshold flags."""

    def share(figures: Evaluation) -> Sequence[Stated]:
        point = figures.own_thresholds.get(source)
        return [] if point is None else [point.normal_flagged]

    figure = f"{words}: normal breasts flagged, threshold set on its own normals"
    return Bar(figure=figure, find=share, reach=0.12, at_most=True)


def _with_shares(
    source: str, find: Callable[[KnownShares], Stated]
) -> Callable[[Evaluation], Sequence[Stated]]:
    """Find a figure among those for which the shares of the classes are given."""

    def figure(figures: Evaluation) -> Sequence[Stated]:
        at_shares = figures.known_shares.get(source)
        return [] if at_shares is None else [find(at_shares)]

    return figure


def _pointing(source: str) -> Bar:
    def hits(figures: Evaluation) -> Sequence[Stated]:
        groups = {} if figures.pointing is None else figures.pointing.sources
        return [groups[source].hottest_point_in_lesion] if source in groups else []

    return Bar(figure=f"{source}: hottest point inside a lesion (pointing game)", find=hits, reach=0.65)


def _disturbances(figures: Evaluation) -> Sequence[Stated]:
    if figures.robustness is None:
        return []
    return [
        disturbance.auc_change for disturbance in figures.robustness.groups["pooled"].disturbances.values()
    ]


def _other_pictures(figures: Evaluation) -> Sequence[Stated]:
    folders = (
        {} if figures.gate is None or figures.gate.other_pictures is None else figures.gate.other_pictures
    )
    return [folder.share_refused for folder in folders.values()]


BARS: Final = (
    _auc("cbis-ddsm", "CBIS-DDSM masses", 0.85),
    _auc("rsna", "RSNA", 0.74),
    _auc("inbreast", "INbreast", 0.88),
    _auc("mini-mias", "mini-MIAS", 0.80),
    _flagged("bwh-selenia", "Selenia"),
    _flagged("rsna", "RSNA"),
    _flagged("inbreast", "INbreast"),
    _flagged_after_calibration("bwh-selenia", "Selenia"),
    _flagged_after_calibration("rsna", "RSNA"),
    _flagged_after_calibration("inbreast", "INbreast"),
    _detected("cbis-ddsm", "CBIS-DDSM masses", 0.60),
    _detected("rsna", "RSNA", 0.40),
    _detected("inbreast", "INbreast", 0.60),
    *(
        Bar(
            figure=f"{source}: expected calibration error of the malignant score, shares given",
            find=_with_shares(source, lambda figures: figures.malignant_calibration_error),
            reach=0.06,
            at_most=True,
        )
        for source in LARGE
    ),
    Bar(
        figure="INbreast: four-class accuracy, shares given",
        find=_with_shares("inbreast", lambda figures: figures.accuracy),
        reach=0.70,
    ),
    Bar(
        figure="INbreast: four-class balanced accuracy, shares given",
        find=_with_shares("inbreast", lambda figures: figures.balanced_accuracy),
        reach=0.55,
    ),
    *map(_pointing, BOXED),
    Bar(
        figure="change of the malignant AUC under the worst disturbance, sources pooled",
        find=_disturbances,
        reach=-0.03,
    ),
    Bar(
        figure="pictures that are no mammograms, refused",
        find=_other_pictures,
        reach=0.95,
    ),
    Bar(
        figure="mammograms refused",
        find=lambda figures: [] if figures.gate is None else [figures.gate.mammograms.share_refused],
        reach=0.01,
        at_most=True,
    ),
    Bar(
        figure="seconds for one image on two cores, scores and Grad-CAM",
        find=lambda figures: [] if figures.cost is None else [figures.cost.seconds],
        reach=0.4,
        at_most=True,
    ),
    Bar(
        figure="megabytes of weights",
        find=lambda figures: [] if figures.cost is None else [figures.cost.megabytes],
        reach=40,
        at_most=True,
    ),
)


def judge(figures: Evaluation, bars: tuple[Bar, ...] = BARS) -> tuple[Verdict, ...]:
    """Compare each bar with its figure."""
    return tuple(_judged(bar, _worst(bar, bar.find(figures))) for bar in bars)


def _judged(bar: Bar, figure: Stated) -> Verdict:
    interval = figure if isinstance(figure, Estimate) else None
    value = figure.value if isinstance(figure, Estimate) else figure
    reached = None if value is None else (value <= bar.reach if bar.at_most else value >= bar.reach)
    return Verdict(
        figure=bar.figure,
        reach=bar.reach,
        at_most=bar.at_most,
        value=value,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        reached=reached,
        by=None if value is None else rounded(abs(value - bar.reach)),
    )


def _worst(bar: Bar, figures: Sequence[Stated]) -> Stated:
    def value(figure: Estimate | float) -> float:
        return figure.value if isinstance(figure, Estimate) else figure

    measured = [figure for figure in figures if figure is not None]
    if not measured:
        return None
    return max(measured, key=value) if bar.at_most else min(measured, key=value)
