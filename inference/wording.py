"""The sentences of the results, once for the report and the heatmap, so that both say the same."""

from __future__ import annotations

from typing import Final

from inference.findings import CLASSES, Analysed, ClassKey, ModelIdentity

NOT_FOR_DIAGNOSIS: Final = "NOT FOR DIAGNOSTIC USE"
BANNER: Final = f"AI - {NOT_FOR_DIAGNOSIS}"
AT_OPERATING_POINT: Final = "malignant score at or above operating point"
NOT_EXCLUDED: Final = "this does not exclude cancer"
NO_RESULT_IS_NOT_NORMAL: Final = "The absence of an AI result is not a normal result."
PATIENTS_DIFFER: Final = "images of this study carry different Patient IDs: check"


def percent(share: float) -> str:
    """Return a score of 0 to 1 as people read it, for example ``84.0 %``."""
    return f"{100 * share:.1f} %"


def label_and_score(finding: Analysed) -> str:
    """Return the most probable class and its score."""
    return f"{finding.label.label} {percent(finding.scores[CLASSES.index(finding.label)])}"


def remarks(finding: Analysed) -> list[str]:
    """Return what must stand beside the scores of an image."""
    said = []
    normal = finding.label is ClassKey.NORMAL
    if finding.at_operating_point:
        said.append(sentence(AT_OPERATING_POINT))
    if normal and finding.region is None:
        said.append(f"Normal, no region marked: {NOT_EXCLUDED}")
    elif normal:
        said.append(f"Most probable class Normal: {NOT_EXCLUDED}")
    elif finding.region is None:
        said.append(f"No region marked, the activation map is flat: {NOT_EXCLUDED}")
    return said


def sentence(words: str) -> str:
    """Return ``words`` with a capital first letter and the rest as it is."""
    return words[:1].upper() + words[1:]


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
    told = "; ".join(
        f"{key.label}: {identity.meanings[key].rstrip('. ')}" for key in CLASSES if key in identity.meanings
    )
    return f"Meaning of the classes (labels of the training images): {told}."
