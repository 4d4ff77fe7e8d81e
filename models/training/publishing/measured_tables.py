"""The card's tables of what was measured with the images: pointing game, disturbances, input gate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from models.training.publishing.tables import Figures, named, number, table, with_interval


def pointing(measured: Figures | None) -> str:
    """Write how often the hottest point falls into a lesion, beside a random point, per source."""
    if measured is None:
        return "Not measured."
    keys = ("hottest_point_in_lesion", "random_point_in_lesion", "heat_in_lesion")
    return table(
        ("source", "images (patients)", "hottest point in a lesion", "random point", "share of the heat"),
        (
            (
                named(name),
                f"{its['images']} ({its['patients']})",
                *(with_interval(its[key]) for key in keys),
            )
            for name, its in {**measured["sources"], "pooled": measured["pooled"]}.items()
        ),
    )


def robustness(measured: Figures | None) -> str:
    """Write what each disturbance changes: malignant AUC per source, labels over all."""
    if measured is None:
        return "Not measured."
    groups: Figures = measured["groups"]
    names = list(groups["pooled"]["disturbances"])
    found = table(
        ("disturbance", *(f"AUC, {named(name)}" for name in groups), "labels changed"),
        (
            (
                name.replace("_", " "),
                *(with_interval(its["disturbances"][name]["auc_change"]) for its in groups.values()),
                number(groups["pooled"]["disturbances"][name]["labels_changed"]),
            )
            for name in names
        ),
    )
    title = f"Change of the malignant AUC on {measured['images']} images, and share of labels that change:"
    return f"{title}\n\n{found}"


def gate(measured: Figures | None) -> str:
    """Write what is refused, of mammograms and of other pictures."""
    if measured is None:
        return "Not measured."
    return table(("pictures", "number", "refused", "share"), _refusals(measured))


def _refusals(measured: Figures) -> Iterator[tuple[str, ...]]:
    yield "mammograms, out of fold", *_counts(measured["mammograms"])
    for group in ("others", "spoiled_mammograms", "further_mammograms"):
        for folder, its in measured.get(group, {}).items():
            words = group.replace("_", " ")
            yield f"{words}, {folder}", *_counts(its)
            for kind, counts in its["kinds"].items():
                yield f"{words}, {folder}: {kind}", *_counts(counts)


def _counts(its: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(its["images"]), str(its["refused"]), number(its["share_refused"])
