"""The tables of the model card: figures of the evaluation as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from inference.findings import CLASSES
from models.training.evaluation.known_shares import FIGURES
from models.training.evaluation.points import Rule

Figures = Mapping[str, Any]

_SOURCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "rsna": "RSNA (several digital scanners)",
        "cbis-ddsm": "CBIS-DDSM masses (digitised film)",
        "inbreast": "INbreast (Siemens digital)",
        "mini-mias": "mini-MIAS (digitised film)",
        "bwh-selenia": "Selenia (Hologic digital)",
    }
)


def named(source: str) -> str:
    """Write a source with what it is."""
    return _SOURCES.get(source, source)


def with_interval(estimate: Mapping[str, float] | None) -> str:
    """Write a figure with its interval, or why there is none."""
    if estimate is None:
        return "too few images"
    return f"{estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"


def number(value: float | None) -> str:
    """Write a figure without interval."""
    return "-" if value is None else f"{value:.3f}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Write a Markdown table."""
    head = tuple(head)
    lines = (head, ("---",) * len(head), *rows)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def groups(figures: Figures, unit: str = "images") -> list[tuple[str, Figures]]:
    """List name and figures of each source and of all together, per image or per breast."""
    its = [*figures["sources"].items(), ("pooled", figures["pooled"])]
    return [(named(name), one if unit == "images" else one["per_breast"]) for name, one in its]


def malignant(figures: Figures, unit: str) -> str:
    """Malignant against rest, per source."""
    return table(
        (
            "source",
            f"{unit} (patients)",
            "AUC",
            "average precision",
            "malignant",
            "sensitivity at 89 % specificity",
            "specificity at 85 % sensitivity",
        ),
        (
            (
                name,
                f"{its[unit]} ({its['patients']})",
                with_interval(its["malignant_auc"]),
                with_interval(its["malignant_average_precision"]),
                number(its["labels"].get("Malignant", 0) / its[unit]),
                with_interval(its["malignant_sensitivity_at_specificity"]),
                with_interval(its["malignant_specificity_at_sensitivity"]),
            )
            for name, its in groups(figures, unit)
        ),
    )


def number_of_views(figures: Figures) -> str:
    """Put beside the figures per breast what its number of images says, and what does not use it."""
    return table(
        ("source", "highest score, AUC", "mean score, AUC", "number of images alone, AUC"),
        (
            (
                name,
                with_interval(its["malignant_auc"]),
                with_interval(its["number_of_views"]["malignant_auc_of_mean"]),
                with_interval(its["number_of_views"]["malignant_auc_of_number"]),
            )
            for name, its in groups(figures, "breasts")
        ),
    )


def classes(figures: Figures, unit: str) -> str:
    """Figures over the classes, per source."""
    return table(
        ("source", f"{unit} with one class", "accuracy", "balanced accuracy", "chance", "macro F1"),
        (
            (
                name,
                str(its["label_certain"]),
                with_interval(its["accuracy"]),
                with_interval(its["balanced_accuracy"]),
                number((its["balanced_accuracy"] or {}).get("chance")),
                with_interval(its["macro_f1"]),
            )
            for name, its in groups(figures, unit)
        ),
    )


def by_class(figures: Figures) -> str:
    """Figures of each class, per source."""
    names = ("precision", "recall", "f1", "auc", "average_precision")
    return table(
        ("source", "class", "images", "precision", "recall", "F1", "AUC", "average precision"),
        (
            (name, key.label, str(one["count"]), *(with_interval(one[figure]) for figure in names))
            for name, its in groups(figures)
            for key in CLASSES
            if (one := its["classes"].get(key.value))
        ),
    )


def recalls(figures: Figures, key: str) -> str:
    """Recall of one class, per source that has it."""
    return table(
        ("source", "images", "recall", "precision"),
        (
            (name, str(one["count"]), with_interval(one["recall"]), with_interval(one["precision"]))
            for name, its in groups(figures)
            if (one := its["classes"].get(key))
        ),
    )


def devices(figures: Figures) -> str:
    """Malignant against rest, per device."""
    return table(
        ("device", "images", "malignant", "AUC", "balanced accuracy", "chance"),
        (
            (
                name,
                str(its["images"]),
                str(its["labels"].get("Malignant", 0)),
                with_interval(its["malignant_auc"]),
                with_interval(its["balanced_accuracy"]),
                number((its["balanced_accuracy"] or {}).get("chance")),
            )
            for name, its in figures["devices"].items()
        ),
    )


def untouched(figures: Figures) -> str:
    """Return the two main figures on the folds that chose nothing."""
    return table(
        ("source", "images", "balanced accuracy", "malignant against rest, AUC"),
        (
            (
                named(name),
                str(its["images"]),
                with_interval(its["balanced_accuracy"]),
                with_interval(its["malignant_auc"]),
            )
            for name, its in figures["without_those_folds"].items()
        ),
    )


def calibration(figures: Figures) -> str:
    """Calibration errors before and after, per source."""
    return table(
        ("source", "score of", "before", "after", "by chance"),
        (
            (
                name,
                words,
                with_interval(one["before"]),
                with_interval(one["after"]),
                number(one["by_chance"]),
            )
            for name, its in groups(figures)
            for of, words in (("label", "the label"), ("malignant", "Malignant"))
            if (one := its["calibration_error"].get(of))
        ),
    )


def methods(figures: Figures) -> str:
    """Ways of calibration side by side."""
    compared = figures["calibration"]["compared"]
    sources = list(figures["sources"])
    return table(
        ("way", "temperature", "bias", "log loss", *map(named, sources)),
        (
            (
                way + (" (shipped)" if way == figures["calibration"]["method"] else ""),
                number(its["temperature"]),
                ", ".join(map(number, its["bias"])) if any(its["bias"]) else "none",
                number(its["log_loss"]),
                *(
                    f"{number(its['calibration_error'][name]['label'])} / "
                    f"{number(its['calibration_error'][name]['malignant'])}"
                    for name in sources
                ),
            )
            for way, its in compared.items()
        ),
    )


def known_shares(figures: Figures) -> str:
    """Write what the four classes would be worth if the shares of each source were known."""
    return table(
        ("source", "accuracy", "balanced accuracy", "calibration error of the label's score"),
        (
            (named(source), *(with_interval(its[name]) for name in FIGURES))
            for source, its in figures["known_shares"].items()
            if its is not None
        ),
    )


def points(figures: Figures) -> str:
    """Sensitivity and specificity at each operating point, per source, image and breast."""
    return table(
        (
            "source",
            "malignant score",
            "sensitivity, images",
            "specificity",
            "sensitivity, breasts",
            "specificity",
        ),
        (
            (
                name,
                f"{figures['operating_points'][rule.value]:.4f} ({rule.value})",
                *(
                    with_interval(its["at_operating_points"][rule.value][figure])
                    for its in (images, breasts)
                    for figure in ("sensitivity", "specificity")
                ),
            )
            for rule in Rule
            for (name, images), (_, breasts) in zip(groups(figures), groups(figures, "breasts"), strict=True)
        ),
    )


def constancy(figures: Figures) -> str:
    """How often each class is said, and how far its scores spread."""
    return table(
        ("source", *(key.label for key in CLASSES), "constant"),
        (
            (
                name,
                *(
                    f"{its['constant_output']['predicted_share'][key.value]:.3f} "
                    f"(± {its['constant_output']['score_spread'][key.value]:.3f})"
                    for key in CLASSES
                ),
                "yes" if its["constant_output"]["constant"] else "no",
            )
            for name, its in groups(figures)
        ),
    )


def confusions(figures: Figures) -> str:
    """One table of counts for each source."""
    return "\n\n".join(
        f"{name}:\n\n{_confusion(its['confusion'])}" for name, its in groups(figures)[:-1] if its["confusion"]
    )


def normals(figures: Figures) -> str:
    """Malignant scores of normals and of malignant images, per source."""
    return table(
        ("source", "normal images", "mean malignant score of normals"),
        (
            (named(name), str(its["images"]), with_interval(its["mean_malignant_score"]))
            for name, its in figures["normals"]["sources"].items()
        ),
    )


def normal_pairs(figures: Figures) -> str:
    """How well normals' scores tell sources apart."""
    return table(
        ("normals of", "score higher than those of", "AUC"),
        (
            (named(pair["higher"]), named(pair["lower"]), with_interval(pair["auc"]))
            for pair in figures["normals"]["pairs"]
        ),
    )


def bars(figures: Figures) -> str:
    """Say of each bar whether it is reached, and by how much."""
    return table(
        ("figure", "frozen features", "to reach", "measured", "verdict"),
        (
            (
                bar["figure"],
                number(bar["frozen_features"]),
                f"{'≤' if bar['at_most'] else '≥'} {bar['reach']:g}",
                _measured(bar),
                {None: "not measured", True: "reached", False: f"missed by {number(bar['by'])}"}[
                    bar["reached"]
                ],
            )
            for bar in figures["bars"]
        ),
    )


def slot(measured: Figures | None) -> str:
    """Write whatever was measured elsewhere, one line a figure."""
    if measured is None:
        return "Not measured."
    return table(("figure", "value"), _flat(measured, ()))


def _flat(value: Any, path: tuple[str, ...]) -> Iterable[tuple[str, str]]:  # noqa: ANN401 - out of JSON
    if isinstance(value, Mapping) and set(value) != {"value", "low", "high"}:
        for key, inner in value.items():
            yield from _flat(inner, (*path, str(key).replace("_", " ")))
        return
    if isinstance(value, Mapping):
        said = with_interval(value)
    elif isinstance(value, list):
        said = ", ".join(map(str, value))
    else:
        said = f"{value:.3f}" if isinstance(value, float) else str(value)
    yield ", ".join(path), said


def _measured(bar: Figures) -> str:
    return with_interval(bar) if bar["low"] is not None else number(bar["value"])


def _confusion(counts: list[list[int]]) -> str:
    return table(
        ("label ↓, predicted →", *(key.label for key in CLASSES)),
        (
            (key.label, *(str(count) for count in row))
            for key, row in zip(CLASSES, counts, strict=True)
            if any(row)
        ),
    )
