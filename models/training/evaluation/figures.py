"""Every figure that is stated about a model, as typed values in the order in which they are written.

All are rounded as they are stated. An estimate is None where there are too few images for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from inference.findings import ClassKey
from models.training.evaluation.calibration import Method
from models.training.evaluation.measured import Measured
from models.training.evaluation.measures import Estimate
from models.training.evaluation.points import Rule
from models.training.json_files import FIRST, LAST

Bin: TypeAlias = tuple[int, float, float]
"""Of a reliability diagram: rows, mean score, share that is right."""


def _estimate(value: float | None, low: float | None, high: float | None) -> Estimate | None:
    """Return a figure with its interval, None where one of them was not measured."""
    if value is None or low is None or high is None:
        return None
    return Estimate(value=value, low=low, high=high)


@dataclass(frozen=True, kw_only=True, slots=True)
class BalancedAccuracy:
    """Balanced accuracy over the classes that a group has."""

    classes: int
    chance: float
    value: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def estimate(self) -> Estimate | None:
        """The figure with its interval."""
        return _estimate(self.value, self.low, self.high)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassFigures:
    """One class against the rest, of the rows whose label is certain."""

    count: int
    precision: Estimate | None
    recall: Estimate | None
    f1: Estimate | None
    auc: Estimate | None
    average_precision: Estimate | None


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationError:
    """The expected calibration error of one score; ``after`` and ``bins`` are cross-fitted."""

    before: Estimate | None
    after: Estimate | None
    by_chance: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationErrors:
    """Of the malignant score, and of the label's score where labels are certain."""

    malignant: CalibrationError
    label: CalibrationError | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PointFigures:
    """Malignant against rest at one operating point."""

    sensitivity: Estimate | None
    specificity: Estimate | None


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanScores:
    """Mean malignant scores of malignant rows and of the others."""

    malignant: Estimate | None
    rest: Estimate | None = field(metadata={"alias": "other"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Constancy:
    """Whether the output depends on the image."""

    predicted_share: Mapping[ClassKey, float]
    score_spread: Mapping[ClassKey, float]
    """Standard deviation of each class's score."""
    constant: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberOfViews:
    """What the number of a breast's images says by itself; the breast's score does not use it."""

    malignant_auc_of_number: Estimate | None


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitFigures:
    """Figures of one group (a source, a device, all) that images and breasts have alike."""

    patients: int
    labels: Mapping[str, int]
    label_certain: int
    accuracy: Estimate | None
    balanced_accuracy: BalancedAccuracy | None
    macro_f1: Estimate | None
    classes: Mapping[ClassKey, ClassFigures]
    confusion: tuple[tuple[int, ...], ...] | None
    """Rows: label, columns: most probable class; in the order of `CLASSES`."""
    malignant_auc: Estimate | None
    malignant_average_precision: Estimate | None
    malignant_sensitivity_at_specificity: Estimate | None
    malignant_specificity_at_sensitivity: Estimate | None
    calibration_error: CalibrationErrors
    at_operating_points: Mapping[Rule, PointFigures]
    mean_malignant_score: MeanScores
    constant_output: Constancy


@dataclass(frozen=True, kw_only=True, slots=True)
class BreastFigures(UnitFigures):
    """Figures of a group's breasts."""

    breasts: int = field(metadata=FIRST)
    number_of_views: NumberOfViews

    @property
    def number(self) -> int:
        """How many there are."""
        return self.breasts


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFigures(UnitFigures):
    """Figures of a group's images."""

    images: int = field(metadata=FIRST)

    @property
    def number(self) -> int:
        """How many there are."""
        return self.images


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupFigures(ImageFigures):
    """Figures of a group's images and breasts."""

    per_breast: BreastFigures


@dataclass(frozen=True, kw_only=True, slots=True)
class MainFigures:
    """The two main figures of a group."""

    images: int
    balanced_accuracy: BalancedAccuracy | None
    malignant_auc: Estimate | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Folds:
    """Which folds are in the predictions, and how many there are."""

    held_out: tuple[int, ...]
    of: int


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodErrors:
    """Calibration errors of one source, cross-fitted; None where no label is certain."""

    label: float | None
    malignant: float


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodFigures:
    """One way of calibration."""

    temperature: float
    bias: tuple[float, ...]
    log_loss: float
    calibration_error: Mapping[str, MethodErrors]


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationFigures:
    """How the shipped scores are calibrated, and all ways side by side."""

    method: Method
    bias: tuple[float, ...]
    compared: Mapping[Method, MethodFigures]


@dataclass(frozen=True, kw_only=True, slots=True)
class LogLoss:
    """Before calibration, and after it (cross-fitted)."""

    before: float
    after: float


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownShares:
    """What the four classes would be worth if the shares of the classes were known."""

    accuracy: Estimate | None
    balanced_accuracy: Estimate | None
    label_calibration_error: Estimate | None
    malignant_calibration_error: Estimate | None


@dataclass(frozen=True, kw_only=True, slots=True)
class FlagFigures:
    """A threshold from which a breast is flagged, and what it was worth, by source."""

    threshold: float
    basis: str
    """What it means, in words."""
    specificity: Mapping[str, float]
    """Share of the normal breasts that are not flagged."""
    sensitivity: Mapping[str, float]
    """Share of the malignant breasts that are flagged."""
    normal_breasts: Mapping[str, int]
    malignant_breasts: Mapping[str, int]
    healthy_women: Mapping[str, int]
    """Women all of whose breasts are normal."""
    healthy_women_flagged: Mapping[str, float]
    """Share of them with a flag on either side."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnThreshold:
    """A threshold that was set on one source's own normals, and what it was worth there."""

    threshold: float
    normal_breasts: int
    normal_flagged: float
    """Share of the normal breasts that are flagged."""
    malignant_breasts: int
    malignant_flagged: float | None
    """Share of the malignant breasts that are flagged; None where there are none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NormalScores:
    """Malignant scores of one source's normal images."""

    images: int
    mean_malignant_score: Estimate | None


@dataclass(frozen=True, kw_only=True, slots=True)
class NormalPair:
    """How well the malignant scores of normals tell two sources apart; at least one half."""

    lower: str
    higher: str
    auc: Estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class NormalFigures:
    """Whether the score knows the scanner: normal images of each source."""

    sources: Mapping[str, NormalScores]
    pairs: tuple[NormalPair, ...]
    farthest_from_chance: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """A figure beside what it was to reach; ``reached`` is None where it was not measured."""

    figure: str
    reach: int | float
    at_most: bool
    value: float | None
    low: float | None
    high: float | None
    reached: bool | None
    by: float | None

    @property
    def estimate(self) -> Estimate | None:
        """The figure with its interval, where it has one."""
        return _estimate(self.value, self.low, self.high)


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation(Measured):
    """Everything: ``evaluation.json``."""

    images: int
    patients: int
    folds: Folds
    temperature: float
    calibration: CalibrationFigures
    log_loss: LogLoss
    rule: Rule
    operating_point: float
    operating_points: Mapping[Rule, float]
    pooled: GroupFigures
    sources: Mapping[str, GroupFigures]
    devices: Mapping[str, ImageFigures]
    chosen_on_folds: tuple[int, ...]
    without_those_folds: Mapping[str, MainFigures]
    known_shares: Mapping[str, KnownShares | None]
    normals: NormalFigures
    flags: Mapping[str, FlagFigures]
    """By the name of the point, as in the manifest."""
    own_thresholds: Mapping[str, OwnThreshold]
    """By source: what calibrating to a scanner is worth."""
    judged_on: str
    above_chance: bool
    bars: tuple[Verdict, ...] = field(metadata=LAST)

    @property
    def groups(self) -> dict[str, GroupFigures]:
        """Figures of each source, and of all together."""
        return {**self.sources, "pooled": self.pooled}
