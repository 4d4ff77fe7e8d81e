"""One line of the comparison: a network, where it came from, what it cost and what it reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_FIGURES: Final = ("images", "balanced_accuracy", "malignant_auc", "macro_f1")


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
    figures: Mapping[str, Mapping[str, Any]]
    """By source, and pooled: what `main_figures` takes."""


def main_figures(evaluation: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Take the figures that are compared from an evaluation, by source and pooled."""
    parts = {**evaluation["sources"], "pooled": evaluation["pooled"]}
    return {source: {name: its.get(name) for name in _FIGURES} for source, its in parts.items()}
