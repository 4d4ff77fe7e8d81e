"""What the network was to reach, in one place, and whether it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from models.training.evaluation.rounding import rounded

LARGE: Final = ("rsna", "cbis-ddsm", "inbreast", "mini-mias")
"""The sources with enough images to ask for calibration."""
BOXED: Final = ("cbis-ddsm", "inbreast", "mini-mias")
"""The sources whose lesions have boxes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One figure of the evaluation and what it is to reach."""

    figure: str
    path: tuple[str, ...]
    """Where the figure stands in the evaluation: an estimate with its interval, or a number; ``*`` takes the
    worst of all that stand there."""
    reach: float
    at_most: bool = False
    """Whether less is better."""
    frozen_features: float | None = None
    """What logistic regression on frozen ImageNet features gave on the same images."""


def _auc(source: str, words: str, reach: float, frozen_features: float) -> Bar:
    return Bar(
        figure=f"{words}: malignant against rest, AUC",
        path=("sources", source, "malignant_auc"),
        reach=reach,
        frozen_features=frozen_features,
    )


def _calibrated(source: str, of: str, words: str) -> Bar:
    return Bar(
        figure=f"{source}: expected calibration error of {words}",
        path=("sources", source, "calibration_error", of, "after"),
        reach=0.05,
        at_most=True,
    )


BARS: Final = (
    _auc("inbreast", "INbreast", 0.90, 0.758),
    Bar(
        figure="INbreast: four-class accuracy",
        path=("sources", "inbreast", "accuracy"),
        reach=0.70,
        frozen_features=0.534,
    ),
    Bar(
        figure="INbreast: four-class balanced accuracy",
        path=("sources", "inbreast", "balanced_accuracy"),
        reach=0.55,
        frozen_features=0.424,
    ),
    _auc("cbis-ddsm", "CBIS-DDSM masses", 0.82, 0.686),
    _auc("rsna", "RSNA", 0.78, 0.61),
    _auc("mini-mias", "mini-MIAS", 0.75, 0.553),
    *(_calibrated(source, "label", "the label's score") for source in LARGE),
    *(_calibrated(source, "malignant", "the malignant score") for source in LARGE),
    *(
        Bar(
            figure=f"{source}: hottest point inside a lesion (pointing game)",
            path=("pointing", "sources", source, "hottest_point_in_lesion"),
            reach=0.5,
        )
        for source in BOXED
    ),
    Bar(
        figure="change of the malignant AUC under the worst disturbance, sources pooled",
        path=("robustness", "groups", "pooled", "disturbances", "*", "auc_change"),
        reach=-0.03,
    ),
    Bar(
        figure="pictures that are no mammograms, refused",
        path=("gate", "others", "*", "share_refused"),
        reach=0.95,
    ),
    Bar(figure="mammograms refused", path=("gate", "mammograms", "share_refused"), reach=0.01, at_most=True),
    Bar(
        figure="seconds for one image on two cores, scores and Grad-CAM",
        path=("cost", "seconds"),
        reach=0.6,
        at_most=True,
    ),
    Bar(figure="megabytes of weights", path=("cost", "megabytes"), reach=40, at_most=True),
)


def judge(figures: Mapping[str, Any], bars: tuple[Bar, ...] = BARS) -> list[dict[str, Any]]:
    """Compare each bar with its figure; ``reached`` is None where the figure was not measured."""
    return [_judged(bar, _worst(bar, _look_up(figures, bar.path))) for bar in bars]


def _judged(bar: Bar, found: Any) -> dict[str, Any]:  # noqa: ANN401 - a number or an estimate out of JSON
    estimate = found if isinstance(found, Mapping) else {"value": found, "low": None, "high": None}
    value = estimate["value"]
    reached = None if value is None else (value <= bar.reach if bar.at_most else value >= bar.reach)
    return {
        "figure": bar.figure,
        "reach": bar.reach,
        "at_most": bar.at_most,
        "frozen_features": bar.frozen_features,
        "value": value,
        "low": estimate["low"],
        "high": estimate["high"],
        "reached": reached,
        "by": None if value is None else rounded(abs(value - bar.reach)),
    }


def _worst(bar: Bar, found: list[Any]) -> Any:  # noqa: ANN401 - a number or an estimate out of JSON
    def value(one: Any) -> float:  # noqa: ANN401 - the same
        return float(one["value"] if isinstance(one, Mapping) else one)

    if not found:
        return None
    return max(found, key=value) if bar.at_most else min(found, key=value)


def _look_up(figures: Any, path: tuple[str, ...]) -> list[Any]:  # noqa: ANN401 - out of JSON
    """List what stands at ``path`` and was measured."""
    if not path:
        return [] if figures is None else [figures]
    if not isinstance(figures, Mapping):
        return []
    key, *rest = path
    inner = list(figures.values()) if key == "*" else [figures.get(key)]
    return [found for one in inner for found in _look_up(one, tuple(rest))]
