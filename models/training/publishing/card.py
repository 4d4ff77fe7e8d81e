"""The texts that go beside the weights: model card and notice, with figures from the evaluation.

The card is a pure function of the evaluation: a test writes it again from the committed predictions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from inference.findings import ClassKey
from models.training.evaluation.calibration import Method
from models.training.evaluation.figures import BreastFigures, Evaluation, Folds
from models.training.evaluation.group import ENOUGH
from models.training.evaluation.judged import MALIGNANT
from models.training.evaluation.measures import Estimate
from models.training.evaluation.points import WORDS
from models.training.publishing import markdown

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
_ALIKE: Final = (
    "Scores are those of women among whom the four classes are equally frequent, unlike in screening"
)
_FITTED: Final[Mapping[Method, tuple[str, str]]] = MappingProxyType(
    {
        Method.TEMPERATURE: ("Temperature fitted", _AS_THEY_ARE),
        Method.VECTOR: ("Temperature and a bias for each class fitted", _AS_THEY_ARE),
        Method.ALIKE: ("Temperature and a bias for each class fitted, each class weighing alike,", _ALIKE),
        Method.MALIGNANT_ALIKE: (
            "Temperature and a bias for Malignant fitted, each class weighing alike,",
            _ALIKE,
        ),
    }
)
"""What was fitted, and why scores are not what they seem."""

NOTICE: Final = "NOTICE.md"
CARD: Final = "card.md"

_PARTS: Final = ("unseen", "what", "how", "failures")
"""The parts of a card that each network has of its own, in ``templates/<name>``."""


class CardError(Exception):
    """The card cannot be written; the message says what is missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bases:
    """Where two numbers of the manifest come from, in words."""

    calibration: str
    operating_point: str


def bases(figures: Evaluation) -> Bases:
    """Say how calibration and operating point were found."""
    at_point = figures.pooled.at_operating_points[figures.rule]
    fitted, frequencies = _FITTED[figures.calibration.method]
    return Bases(
        calibration=(
            f"{fitted} on the out-of-fold predictions of {figures.images} images of "
            f"{figures.patients} patients, all sources pooled. {frequencies}, "
            "so the scores are no probabilities of cancer there."
        ),
        operating_point=(
            f"{WORDS[figures.rule]}: sensitivity {_value(at_point.sensitivity)}, "
            f"specificity {_value(at_point.specificity)}."
        ),
    )


def render(figures: Evaluation, *, name: str, version: str) -> str:
    """Write the model card. Raises CardError where the network's own texts are missing."""
    return markdown.render(
        CARD,
        **_texts(name),
        figures=figures,
        breasts={group_name: group.per_breast for group_name, group in figures.groups.items()},
        name=name,
        version=version,
        verdict=_verdict(figures),
        reached=_reached(figures),
        folds=_folds(figures.folds),
        meanings=MEANINGS,
        basis=bases(figures),
        classes_right=_classes_right(figures),
    )


def notice() -> str:
    """Return the notice that stands beside the weights."""
    return (markdown.TEMPLATES / NOTICE).read_text(encoding="utf-8")


def _texts(name: str) -> dict[str, str]:
    try:
        return {
            part: (markdown.TEMPLATES / name / f"{part}.md").read_text(encoding="utf-8").strip()
            for part in _PARTS
        }
    except FileNotFoundError as error:
        raise CardError(
            f"the card needs what is said about {name} alone: {error.filename} is missing; write "
            + ", ".join(f"{part}.md" for part in _PARTS)
        ) from error


def _value(estimate: Estimate | None) -> str:
    return markdown.number(None if estimate is None else estimate.value)


def _verdict(figures: Evaluation) -> str:
    group = figures.sources.get(figures.judged_on)
    judged = None if group is None or group.balanced_accuracy is None else group.balanced_accuracy.estimate
    if judged is None:
        return "There is no INbreast image among the figures, so it is not known whether chance is exceeded."
    figure = f"{judged.value:.3f}, 95 % interval {judged.low:.3f} to {judged.high:.3f}"
    if figures.above_chance:
        return f"Its four-class balanced accuracy on INbreast is above chance (0.25): {figure}."
    return f"Its four-class balanced accuracy on INbreast does **not** surely exceed chance (0.25): {figure}."


def _classes_right(figures: Evaluation) -> str:
    """Say how often the most probable class is right, by source; classes that are not malignant alone."""
    shares = {name: _of_the_others(group.per_breast) for name, group in figures.sources.items()}
    words = [f"{100 * share:.0f} of 100 ({name})" for name, share in shares.items() if share is not None]
    return ", ".join(words) or "an unknown share"


def _of_the_others(figures: BreastFigures) -> float | None:
    """Count the breasts that are not malignant, have one label, and get it; None where there are few."""
    rows = [row for kind, row in enumerate(figures.confusion or ()) if kind != MALIGNANT]
    breasts = sum(map(sum, rows))
    right = sum(row[kind] for kind, row in enumerate(figures.confusion or ()) if kind != MALIGNANT)
    return right / breasts if breasts >= ENOUGH else None


def _reached(figures: Evaluation) -> str:
    verdicts = [bar.reached for bar in figures.bars]
    return (
        f"Of the {len(verdicts)} bars that were set for it, {verdicts.count(True)} are reached, "
        f"{verdicts.count(False)} missed, {verdicts.count(None)} not measured (table below)."
    )


def _folds(folds: Folds) -> str:
    if len(folds.held_out) == folds.of:
        return f"all {folds.of} folds"
    return (
        f"only {len(folds.held_out)} of {folds.of} folds ({', '.join(map(str, folds.held_out))}); the "
        "patients of the others are in no figure"
    )
