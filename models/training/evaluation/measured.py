"""What is measured with the images or the network and kept beside the predictions, as typed values.

The commands of the same names write these into JSON files of a run; the evaluation takes them in as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from models.training.evaluation.measures import Estimate
from models.training.json_files import LAST


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochLosses:
    """The losses of one epoch of one fold's training."""

    fold: int
    stage: str
    number: int
    loss: float | None
    validation_loss: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceProbe:
    """How well the source of an image is told from what stands for the image."""

    sources: tuple[str, ...]
    features: int
    accuracy: Estimate | None
    accuracy_by_chance: float
    balanced_accuracy: Estimate | None
    balanced_accuracy_by_chance: float


@dataclass(frozen=True, kw_only=True, slots=True)
class PointingGroup:
    """The pointing game over some images: shares, and how often each class was explained."""

    images: int
    patients: int
    hottest_point_in_lesion: Estimate | None
    random_point_in_lesion: Estimate | None
    heat_in_lesion: Estimate | None
    explained: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class PointingFigures:
    """The pointing game, pooled, per source and per label."""

    folds: tuple[int, ...]
    left_out: int
    widened_by: float
    pooled: PointingGroup
    sources: Mapping[str, PointingGroup]
    labels: Mapping[str, PointingGroup]


@dataclass(frozen=True, kw_only=True, slots=True)
class DisturbanceFigures:
    """What one disturbance changes over some images; None where no image is left."""

    not_analysed: int
    auc_change: Estimate | None
    labels_changed: float | None
    mean_score_change: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RobustnessGroup:
    """Some images undisturbed, and under each disturbance."""

    images: int
    malignant: int
    not_analysed: int
    auc: Estimate | None
    disturbances: Mapping[str, DisturbanceFigures]


@dataclass(frozen=True, kw_only=True, slots=True)
class RobustnessFigures:
    """What disturbances change, pooled and per source."""

    folds: tuple[int, ...]
    left_out: int
    images: int
    patients: int
    groups: Mapping[str, RobustnessGroup]


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceRefusals:
    """Mammograms of one source that the gate refuses."""

    images: int
    refused: int
    refused_without_this_source: int | None
    """Learned from the other sources alone; None where there is no other."""
    median_distance: float


@dataclass(frozen=True, kw_only=True, slots=True)
class MammogramRefusals:
    """Mammograms that the gate refuses, out of fold."""

    images: int
    without_breast: int
    refused: int
    share_refused: float
    sources: Mapping[str, SourceRefusals]


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusals:
    """Other pictures that the gate refuses, and how often each verdict was given."""

    images: int
    refused: int
    share_refused: float | None
    verdicts: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderRefusals(Refusals):
    """The pictures of one folder, with those of each kind."""

    kinds: Mapping[str, Refusals]


@dataclass(frozen=True, kw_only=True, slots=True)
class GateFigures:
    """What the input gate refuses."""

    limit: float
    mammograms: MammogramRefusals
    other_pictures: Mapping[str, FolderRefusals] | None = field(default=None, metadata={"alias": "others"})
    spoiled_mammograms: Mapping[str, FolderRefusals] | None = None
    further_mammograms: Mapping[str, FolderRefusals] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CostFigures:
    """What one image costs the node, and what training took."""

    seconds: float
    slowest_seconds: float
    images: int
    threads: int
    megabytes: float
    started_from: str
    lesion_cut_outs_seen: int
    epochs_of_whole_images: int
    images_seen: int
    training_seconds: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """All of it; None where it was not measured."""

    training: tuple[EpochLosses, ...] | None = field(default=None, metadata=LAST)
    telling_sources: Mapping[str, SourceProbe] | None = field(default=None, metadata=LAST)
    pointing: PointingFigures | None = field(default=None, metadata=LAST)
    robustness: RobustnessFigures | None = field(default=None, metadata=LAST)
    gate: GateFigures | None = field(default=None, metadata=LAST)
    cost: CostFigures | None = field(default=None, metadata=LAST)

    def updated(self, newer: Measured) -> Measured:
        """Take from ``newer`` what was measured there."""
        parts = {part.name: getattr(newer, part.name) for part in fields(Measured)}
        return replace(self, **{name: figures for name, figures in parts.items() if figures is not None})


def measured_of(figures: Measured) -> Measured:
    """Return what was measured alone, of an evaluation for example."""
    return Measured().updated(figures)
