"""The comparison as Markdown, for people: one line per network, one column per source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from models.training.comparison.entry import Entry
from models.training.publishing import tables

_HEAD: Final = (
    "network",
    "rows by columns",
    "parameters",
    "started from",
    "cut-outs seen",
    "images seen",
    "training, s",
    "one image, s",
)
_UNKNOWN: Final = "not recorded"


def render(entries: Sequence[Entry], *, fold: int, threads: int) -> str:
    """Write what each network cost, its figures per source, and why some start from random weights."""
    sources = list(dict.fromkeys(source for entry in entries for source in entry.figures))
    parts = [
        f"Out of fold, fold {fold}; 95 % intervals over patients; seconds on {threads} processor threads.",
        tables.table(_HEAD, map(_cost, entries)),
        "Malignant against rest, AUC:",
        tables.table(("network", *sources), (_figures(one, sources, "malignant_auc") for one in entries)),
        "Balanced accuracy over the classes that a source has:",
        tables.table(("network", *sources), (_figures(one, sources, "balanced_accuracy") for one in entries)),
    ]
    if longer := [entry.name for entry in entries if not entry.same_budget]:
        parts.append(f"Not trained within the common budget: {', '.join(longer)}.")
    parts += [
        f"{entry.name} started from random weights: {entry.start_reason}."
        for entry in entries
        if entry.start_reason
    ]
    return "\n\n".join(parts) + "\n"


def _cost(entry: Entry) -> tuple[str, ...]:
    return (
        entry.name,
        f"{entry.rows} by {entry.columns}",
        f"{entry.parameters / 1e6:.2f} M",
        entry.started_from or _UNKNOWN,
        _UNKNOWN if entry.cut_outs_seen is None else str(entry.cut_outs_seen),
        _UNKNOWN if entry.images_seen is None else str(entry.images_seen),
        _UNKNOWN if entry.training_seconds is None else f"{entry.training_seconds:.0f}",
        f"{entry.seconds_per_image:.3f}",
    )


def _figures(entry: Entry, sources: Iterable[str], figure: str) -> tuple[str, ...]:
    return entry.name, *(_stated(entry.figures.get(source, {}).get(figure)) for source in sources)


def _stated(estimate: Mapping[str, Any] | None) -> str:
    """Write an estimate; balanced accuracy is a mapping without value where no label is certain."""
    return tables.with_interval(estimate if estimate and "value" in estimate else None)
