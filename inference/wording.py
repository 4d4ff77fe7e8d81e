"""Every sentence of the results, once for report, heatmap and notice page, so that all say the same.

Changing one changes the bytes of objects that peers may have already: raise `SCHEMA` of
`inference.results.identity` with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

from inference.findings import CLASSES, Analysed, ClassKey, Laterality, ModelIdentity

NOT_FOR_DIAGNOSIS: Final = "NOT FOR DIAGNOSTIC USE"
NOT_FOR_DIAGNOSIS_LINES: Final = ("NOT FOR", "DIAGNOSTIC USE")
"""The same on two lines."""
BANNER: Final = f"AI - {NOT_FOR_DIAGNOSIS}"
AT_OPERATING_POINT: Final = "malignant score at or above operating point"
NOT_EXCLUDED: Final = "this does not exclude cancer"
NO_RESULT: Final = "AI: no result"
NO_RESULT_IS_NOT_NORMAL: Final = "The absence of an AI result is not a normal result."
PATIENTS_DIFFER: Final = "images of this study carry different Patient IDs: check"
LOW: Final = "low"
HIGH: Final = "high"

REPORT_SERIES: Final = f"AI results - {NOT_FOR_DIAGNOSIS}"
HEATMAP_SERIES: Final = f"AI heatmap - {NOT_FOR_DIAGNOSIS}"
NOTICE_SERIES: Final = "AI notice: images without a result"
NOTICE_DERIVATION: Final = "Notice: images that the AI has not analysed"

BREASTS: Final[Mapping[Laterality, str]] = MappingProxyType(
    {
        Laterality.RIGHT: "Right breast",
        Laterality.LEFT: "Left breast",
        Laterality.BOTH: "Image of both breasts",
    }
)
"""The breasts in the order in which a report speaks of them."""


# Words that several sentences share


def percent(share: float) -> str:
    """Return a score of 0 to 1 as people read it, for example ``84.0 %``."""
    return f"{100 * share:.1f} %"


def sentence(words: str) -> str:
    """Return ``words`` with a capital first letter and the rest as it is."""
    return words[:1].upper() + words[1:]


def label_and_score(finding: Analysed) -> str:
    """Return the most probable class and its score."""
    return f"{finding.label.label} {percent(finding.scores[CLASSES.index(finding.label)])}"


def view_name(view: str | None) -> str:
    """Return a view's abbreviation, or that it is not known."""
    return view or "unknown view"


# The image


def remarks(finding: Analysed) -> list[str]:
    """Return what must stand beside the scores of an image."""
    sentences = []
    normal = finding.label is ClassKey.NORMAL
    if finding.at_operating_point:
        sentences.append(sentence(AT_OPERATING_POINT))
    if normal and finding.region is None:
        sentences.append(f"Normal, no region marked: {NOT_EXCLUDED}")
    elif normal:
        sentences.append(f"Most probable class Normal: {NOT_EXCLUDED}")
    elif finding.region is None:
        sentences.append(f"No region marked, the activation map is flat: {NOT_EXCLUDED}")
    return sentences


def tracking_identifier(level: str, label: str) -> str:
    """Return the name under which viewers list the ``level`` (image or region) of the image ``label``."""
    return f"AI {level} {label}"


# The heatmap and the notice page


def headline(caption: str) -> str:
    """Return the first line of a heatmap's legend."""
    return f"AI  {caption}"


def explanation(explained: ClassKey) -> tuple[str, str]:
    """Return which class the map explains: the sentence, and a shorter one for narrow pictures."""
    short = f'Grad-CAM for "{explained.label}"'
    return f"{short}: where the network looked", short


def signature(model: ModelIdentity) -> str:
    """Return the last line of legend and notice page: who says all this."""
    return f"{model.name} {model.version}, investigational"


def derivation(model: ModelIdentity, *, with_map: bool) -> str:
    """Return how a heatmap came about (Derivation Description)."""
    picture = (
        f"Grad-CAM heat map of {model.name} {model.version} blended over the source image"
        if with_map
        else f"Source image without a map, scores of {model.name} {model.version}"
    )
    return f"{picture} (VOI LUT applied), legend strip added below; not for measurement or diagnosis"


def without_result(label: str, reason: str) -> str:
    """Return the notice page's line about one image."""
    return f"{label}: {reason}"


# The report


def not_analysed(label: str, reason: str) -> str:
    """Return the report's sentence about an image without a result."""
    return f"Not analysed: {without_result(label, reason)}"


def breast_class(side: Laterality, label: ClassKey, view: str | None, scores: str) -> str:
    """Return a breast's class, the ``view`` that decided it (None where none did alone), and its scores."""
    reason = "every view" if label is ClassKey.NORMAL else f"view {view_name(view)}"
    return f"{BREASTS[side]}: {label.label} ({reason}). {scores}"


def breast_without_class(side: Laterality, scores: str) -> str:
    """Return that a breast has no class although some of its views have scores."""
    return f"{BREASTS[side]}: no class for the breast, not all of its views have a result. {scores}"


def counted_for_neither_breast(label: str, finding: Analysed, scores: str) -> str:
    """Return the class of an image of which nobody knows the side."""
    return f"{sentence(label)}: {label_and_score(finding)}, counted for neither breast. {scores}"


def scores_per_view(views: Sequence[tuple[str | None, Analysed]], missing: Sequence[str | None]) -> str:
    """Return the malignant score of every view, and what must stand beside it."""
    scores = ", ".join(f"{view_name(view)} {percent(finding.malignant)}" for view, finding in views)
    sentences = [f"Malignant score per view: {scores}."]
    reached = [view_name(view) for view, finding in views if finding.at_operating_point]
    if reached:
        sentences.append(f"{sentence(AT_OPERATING_POINT)} ({', '.join(reached)}).")
    if missing:
        sentences.append(f"Without a result: {', '.join(map(view_name, missing))}.")
    if any(finding.label is ClassKey.NORMAL for _, finding in views):
        sentences.append(f"Normal: {NOT_EXCLUDED}.")
    return " ".join(sentences)


def incomplete(missing: int, images: int) -> str:
    """Return why a report is partial (Completion Flag Description)."""
    return f"{missing} of {images} images not analysed"


def replacement(moment: datetime, images: int) -> str:
    """Return which report is replaced: that of ``moment`` (local) on so many ``images``."""
    count = "1 image" if images == 1 else f"{images} images"
    return f"Replaces the report of {moment:%Y-%m-%d %H:%M:%S}, {count}"


def limitations(identity: ModelIdentity) -> str:
    """Return what the reader of a report must know before believing it."""
    calibrated = (
        "calibrated on out-of-fold predictions of the training images, not on screening"
        if identity.calibrated
        else "not calibrated"
    )
    return (
        f"AI output - investigational, {NOT_FOR_DIAGNOSIS}. Softmax class scores of an image classifier, "
        f"{calibrated}; not a BI-RADS assessment. The marked region is where the network looked (Grad-CAM), "
        "not a segmented or detected lesion. A normal result or an image without a marked region "
        f"does not exclude cancer. Operating point: malignant score {percent(identity.operating_point)}."
    )


def meanings(identity: ModelIdentity) -> str:
    """Return what each class means: the definitions of the labels of the training images."""
    definitions = "; ".join(
        f"{key.label}: {identity.meanings[key].rstrip('. ')}" for key in CLASSES if key in identity.meanings
    )
    return f"Meaning of the classes (labels of the training images): {definitions}."


# The network


def algorithm_parameters(model: ModelIdentity) -> list[str]:
    """Return what tells this network's results from another's (TID 4019, Algorithm Parameters)."""
    return [
        f"weights sha256={model.weights_sha256}",
        f"classes={','.join(CLASSES)}",
        f"activation=softmax; calibrated={'yes' if model.calibrated else 'no'}",
        f"operating point={ClassKey.MALIGNANT} score>={model.operating_point:.4f}",
        "explanation=Grad-CAM of Malignant at the operating point, else of the top class but Normal",
        "region=cam>=0.5*max",
        f"preprocessing={model.preprocessing}",
    ]


def contribution(model: ModelIdentity) -> str:
    """Return which network contributed to an object (Contribution Description)."""
    return f"{model.name} {model.version}, weights sha256 {model.weights_sha256[:16]}"
