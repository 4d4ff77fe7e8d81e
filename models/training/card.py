"""The texts that go beside the weights: model card and notice, with figures from the evaluation.

The card is a pure function of the evaluation: a test writes it again from the committed predictions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from inference.findings import CLASSES, ClassKey

MEANINGS: Final[Mapping[ClassKey, str]] = MappingProxyType(
    {
        ClassKey.NORMAL: (
            "No suspicious abnormality was noted by the readers of the training images: BI-RADS 1 (INbreast, "
            "RSNA), no abnormality (mini-MIAS) or a negative screening result (Selenia). Not confirmed by "
            "pathology."
        ),
        ClassKey.BENIGN: (
            "Something was found and judged not malignant; a mixture over the training images: benign after "
            "recall or biopsy (CBIS-DDSM, RSNA, Selenia), benign in the truth data (mini-MIAS, callback not "
            "known) or BI-RADS 3, probably benign (INbreast)."
        ),
        ClassKey.BENIGN_WITHOUT_CALLBACK: (
            "Something was seen and judged benign from the screening images alone, without recall: "
            "BENIGN_WITHOUT_CALLBACK (CBIS-DDSM) or BI-RADS 2 (INbreast, RSNA). Not confirmed by pathology."
        ),
        ClassKey.MALIGNANT: (
            "Cancer; a mixture over the training images: proven by pathology (CBIS-DDSM, RSNA), malignant in "
            "the truth data (mini-MIAS, Selenia), or BI-RADS 4 to 6, suspicious, highly suggestive or proven "
            "(INbreast)."
        ),
    }
)
"""What each class means, because of the labels that the network learns from."""

_TEMPLATES: Final = Path(__file__).with_name("templates")
NOTICE: Final = "NOTICE.md"
CARD: Final = "card.md"

_SOURCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "rsna": "RSNA (several digital scanners)",
        "cbis-ddsm": "CBIS-DDSM masses (digitised film)",
        "inbreast": "INbreast (Siemens digital)",
        "mini-mias": "mini-MIAS (digitised film)",
        "bwh-selenia": "Selenia (Hologic digital)",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bases:
    """Where two numbers of the manifest come from, in words."""

    calibration: str
    operating_point: str


def bases(figures: Mapping[str, Any]) -> Bases:
    """Say how temperature and operating point were found."""
    at_point = figures["pooled"]["at_operating_point"]
    return Bases(
        calibration=(
            f"Temperature fitted on the out-of-fold predictions of {figures['images']} images of "
            f"{figures['patients']} patients, all sources pooled. Far more of them are malignant than of the "
            "women who are screened, so the scores are no probabilities of cancer there."
        ),
        operating_point=(
            "Highest malignant score that 90 % of the malignant images reach out of fold, sources pooled: "
            f"sensitivity {at_point['sensitivity']:.3f}, specificity {at_point['specificity']:.3f}."
        ),
    )


def render(figures: Mapping[str, Any], *, name: str, version: str) -> str:
    """Write the model card."""
    sources = figures["sources"]
    words = {
        "name": name,
        "version": version,
        "images": figures["images"],
        "patients": figures["patients"],
        "verdict": _verdict(figures),
        "figures": _table(
            (
                "source",
                "images (patients)",
                "balanced accuracy (95 %)",
                "chance",
                "malignant against rest, AUC (95 %)",
                "accuracy",
            ),
            (_figures_row(source, its) for source, its in [*sources.items(), ("pooled", figures["pooled"])]),
        ),
        "fold": figures["chosen_on_fold"],
        "untouched": _table(
            ("source", "images", "balanced accuracy (95 %)", "malignant against rest, AUC (95 %)"),
            (_untouched_row(name, figures["without_that_fold"][name]) for name in [*sources, "pooled"]),
        ),
        "points": _table(
            (
                "source",
                "sensitivity",
                "specificity",
                "mean malignant score, malignant",
                "mean malignant score, others",
                "calibration error before",
                "after",
            ),
            (_point_row(source, its) for source, its in [*sources.items(), ("pooled", figures["pooled"])]),
        ),
        "devices": _table(
            ("RSNA device", "images", "malignant", "malignant against rest, AUC (95 %)"),
            (
                (scanner, str(its["images"]), str(its["malignant"]), with_interval(its["malignant_auc"]))
                for scanner, its in figures["devices"].items()
            ),
        ),
        "confusions": "\n\n".join(
            f"{_named(source)}:\n\n{_confusion(its['confusion'])}" for source, its in sources.items()
        ),
        "meanings": "\n".join(f"- **{key.label}**: {text}" for key, text in MEANINGS.items()),
        "temperature": figures["temperature"],
        "log_loss_before": figures["log_loss"]["before"],
        "log_loss_after": figures["log_loss"]["after"],
        "operating_point": figures["operating_point"],
        "point_basis": bases(figures).operating_point,
        "calibration_basis": bases(figures).calibration,
    }
    return (_TEMPLATES / CARD).read_text(encoding="utf-8").format(**words)


def notice() -> str:
    """Return the notice that stands beside the weights."""
    return (_TEMPLATES / NOTICE).read_text(encoding="utf-8")


def with_interval(estimate: Mapping[str, float] | None) -> str:
    """Write a figure with its interval, or why there is none."""
    if estimate is None:
        return "too few images"
    return f"{estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"


def _named(source: str) -> str:
    return _SOURCES.get(source, source)


def _verdict(figures: Mapping[str, Any]) -> str:
    judged = figures["sources"][figures["judged_on"]]["balanced_accuracy"]
    figure = f"{judged['value']:.3f}, 95 % interval {judged['low']:.3f} to {judged['high']:.3f}"
    if figures["above_chance"]:
        return f"Its four-class balanced accuracy on INbreast is above chance (0.25), but low: {figure}."
    return f"Its four-class balanced accuracy on INbreast does **not** surely exceed chance (0.25): {figure}."


def _figures_row(source: str, its: Mapping[str, Any]) -> tuple[str, ...]:
    accuracy = its["balanced_accuracy"]
    return (
        _named(source),
        f"{its['images']} ({its['patients']})",
        with_interval(accuracy),
        f"{accuracy['chance']:.3f}",
        with_interval(its["malignant_auc"]),
        f"{its['accuracy']:.3f}",
    )


def _untouched_row(source: str, its: Mapping[str, Any]) -> tuple[str, ...]:
    accuracy, auc = with_interval(its["balanced_accuracy"]), with_interval(its["malignant_auc"])
    return _named(source), str(its["images"]), accuracy, auc


def _point_row(source: str, its: Mapping[str, Any]) -> tuple[str, ...]:
    point, means, error = its["at_operating_point"], its["mean_malignant_score"], its["calibration_error"]
    numbers = (
        point["sensitivity"],
        point["specificity"],
        means["malignant"],
        means["other"],
        error["before"],
        error["after"],
    )
    return (_named(source), *("-" if number is None else f"{number:.3f}" for number in numbers))


def _confusion(counts: list[list[int]]) -> str:
    return _table(
        ("label ↓, predicted →", *(key.label for key in CLASSES)),
        (
            (key.label, *(str(count) for count in row))
            for key, row in zip(CLASSES, counts, strict=True)
            if any(row)
        ),
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    lines = (head, ("---",) * len(head), *rows)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
