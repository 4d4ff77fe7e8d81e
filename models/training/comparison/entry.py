"""One line of the comparison: a network, where it came from, what it cost and what it reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.training.evaluation.figures import BalancedAccuracy, Evaluation
from models.training.evaluation.measures import Estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedFigures:
    """The figures of one source that networks are compared by."""

    images: int
    balanced_accuracy: BalancedAccuracy | None
    malignant_auc: Estimate | None
    macro_f1: Estimate | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """As it is kept in JSON; None where something was not recorded."""

    name: str
    network: str
    rows: int
    columns: int
    parameters: int
    started_from: str | None
    start_reason: str
    """Why it started from random weights though ImageNet's exist for it; empty otherwise."""
    cut_outs_seen: int | None
    images_seen: int | None
    """Whole images, repetitions counted."""
    training_seconds: float | None
    seconds_per_image: float
    """Scores and Grad-CAM of one prepared image."""
    same_budget: bool
    """False for a model that was trained longer, or otherwise, than the budget of the comparison."""
    figures: Mapping[str, ComparedFigures]
    """By source, and pooled: what `compared` takes."""


def compared(evaluation: Evaluation) -> dict[str, ComparedFigures]:
    """Take the figures that are compared from an evaluation, by source and pooled."""
    return {
        name: ComparedFigures(
            images=group.images,
            balanced_accuracy=group.balanced_accuracy,
            malignant_auc=group.malignant_auc,
            macro_f1=group.macro_f1,
        )
        for name, group in evaluation.groups.items()
    }
