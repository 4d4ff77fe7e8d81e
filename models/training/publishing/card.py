"""The texts that go beside the weights: model card and notice, with figures from the evaluation.

The card is a pure function of the evaluation: a test writes it again from the committed predictions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from inference.findings import ClassKey
from models.training.evaluation.calibration import Method
from models.training.evaluation.points import WORDS, Rule
from models.training.publishing import measured_tables, tables

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

_AS_THEY_ARE: Final = "Far more of them are malignant than of the women who are screened"
_FITTED: Final[Mapping[Method, tuple[str, str]]] = MappingProxyType(
    {
        Method.TEMPERATURE: ("Temperature fitted", _AS_THEY_ARE),
        Method.VECTOR: ("Temperature and a bias for each class fitted", _AS_THEY_ARE),
        Method.ALIKE: (
            "Temperature and a bias for each class fitted, each class weighing alike,",
            "Scores are those of women among whom the four classes are equally frequent, unlike in screening",
        ),
    }
)
"""What was fitted, and why scores are not what they seem."""

NOTICE: Final = "NOTICE.md"
CARD: Final = "card.md"

_TEMPLATES: Final = Path(__file__).with_name("templates")
_PARTS: Final = ("what", "how", "failures")
"""The parts of a card that each network has of its own, in ``templates/<name>``."""


class CardError(Exception):
    """The card cannot be written; the message says what is missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bases:
    """Where two numbers of the manifest come from, in words."""

    calibration: str
    operating_point: str


def bases(figures: Mapping[str, Any]) -> Bases:
    """Say how calibration and operating point were found."""
    at_point = figures["pooled"]["at_operating_points"][figures["rule"]]
    fitted, frequencies = _FITTED[Method(figures["calibration"]["method"])]
    return Bases(
        calibration=(
            f"{fitted} on the out-of-fold predictions of {figures['images']} images of "
            f"{figures['patients']} patients, all sources pooled. {frequencies}, "
            "so the scores are no probabilities of cancer there."
        ),
        operating_point=(
            f"{WORDS[Rule(figures['rule'])]}: sensitivity {_value(at_point['sensitivity'])}, "
            f"specificity {_value(at_point['specificity'])}."
        ),
    )


def render(figures: Mapping[str, Any], *, name: str, version: str) -> str:
    """Write the model card. Raises CardError where the network's own texts are missing."""
    words = {
        "name": name,
        "version": version,
        **_texts(name),
        **_tables(figures),
        "verdict": _verdict(figures),
        "reached": _reached(figures),
        "images": figures["images"],
        "patients": figures["patients"],
        "folds": _folds(figures["folds"]),
        "chosen_on": ", ".join(map(str, figures["chosen_on_folds"])),
        "meanings": "\n".join(f"- **{key.label}**: {text}" for key, text in MEANINGS.items()),
        "temperature": figures["temperature"],
        "log_loss_before": figures["log_loss"]["before"],
        "log_loss_after": figures["log_loss"]["after"],
        "operating_point": figures["operating_point"],
        "point_basis": bases(figures).operating_point,
        "calibration_basis": bases(figures).calibration,
        "training_plot": ", `training.png`" if "training" in figures else "",
    }
    return (_TEMPLATES / CARD).read_text(encoding="utf-8").format(**words)


def notice() -> str:
    """Return the notice that stands beside the weights."""
    return (_TEMPLATES / NOTICE).read_text(encoding="utf-8")


def _texts(name: str) -> dict[str, str]:
    try:
        return {
            part: (_TEMPLATES / name / f"{part}.md").read_text(encoding="utf-8").strip() for part in _PARTS
        }
    except FileNotFoundError as error:
        raise CardError(
            f"the card needs what is said about {name} alone: {error.filename} is missing; write "
            + ", ".join(f"{part}.md" for part in _PARTS)
        ) from error


def _tables(figures: Mapping[str, Any]) -> dict[str, str]:
    return {
        "without_callback": tables.recalls(figures, ClassKey.BENIGN_WITHOUT_CALLBACK.value),
        "bars": tables.bars(figures),
        "malignant_images": tables.malignant(figures, "images"),
        "malignant_breasts": tables.malignant(figures, "breasts"),
        "number_of_views": tables.number_of_views(figures),
        "devices": tables.devices(figures),
        "classes_images": tables.classes(figures, "images"),
        "classes_breasts": tables.classes(figures, "breasts"),
        "by_class": tables.by_class(figures),
        "confusions": tables.confusions(figures),
        "constancy": tables.constancy(figures),
        "untouched": tables.untouched(figures),
        "calibration": tables.calibration(figures),
        "methods": tables.methods(figures),
        "known_shares": tables.known_shares(figures),
        "points": tables.points(figures),
        "normals": tables.normals(figures),
        "normal_pairs": tables.normal_pairs(figures),
        "telling_sources": _telling_sources(figures.get("telling_sources")),
        "pointing": measured_tables.pointing(figures.get("pointing")),
        "robustness": measured_tables.robustness(figures.get("robustness")),
        "gate": measured_tables.gate(figures.get("gate")),
        "cost": tables.slot(figures.get("cost")),
    }


def _telling_sources(measured: Mapping[str, Any] | None) -> str:
    if measured is None:
        return "Whether the source can be told from the network's features: not measured."
    return (
        "Can the source be told from what the network passes to its last layer (logistic regression within "
        "each fold, by patient)? Beside it plain statistics of the same pictures:\n\n" + tables.slot(measured)
    )


def _value(estimate: Mapping[str, float] | None) -> str:
    return tables.number(None if estimate is None else estimate["value"])


def _verdict(figures: Mapping[str, Any]) -> str:
    judged = figures["sources"].get(figures["judged_on"], {}).get("balanced_accuracy")
    if judged is None:
        return "There is no INbreast image among the figures, so it is not known whether chance is exceeded."
    figure = f"{judged['value']:.3f}, 95 % interval {judged['low']:.3f} to {judged['high']:.3f}"
    if figures["above_chance"]:
        return f"Its four-class balanced accuracy on INbreast is above chance (0.25): {figure}."
    return f"Its four-class balanced accuracy on INbreast does **not** surely exceed chance (0.25): {figure}."


def _reached(figures: Mapping[str, Any]) -> str:
    verdicts = [bar["reached"] for bar in figures["bars"]]
    return (
        f"Of the {len(verdicts)} bars that were set for it, {verdicts.count(True)} are reached, "
        f"{verdicts.count(False)} missed, {verdicts.count(None)} not measured (table below)."
    )


def _folds(folds: Mapping[str, Any]) -> str:
    held_out = folds["held_out"]
    if len(held_out) == folds["of"]:
        return f"all {folds['of']} folds"
    return (
        f"only {len(held_out)} of {folds['of']} folds ({', '.join(map(str, held_out))}); the patients of the "
        "others are in no figure"
    )
