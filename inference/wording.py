"""Every sentence of the results, once for report, heatmap and notice page, so that all say the same.

Changing one changes the bytes of objects that peers may have already: raise `SCHEMA` of
`inference.results.identity` with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

from inference.decision import Analysed, Decision, FlagRule
from inference.findings import CLASSES, ClassKey, Laterality, ModelIdentity, NamedModel

NOT_FOR_DIAGNOSIS: Final = "NOT FOR DIAGNOSTIC USE"
BANNER: Final = f"AI - {NOT_FOR_DIAGNOSIS}"
FLAGGED: Final = "FLAGGED"
NOT_FLAGGED: Final = "Not flagged"
FLAG_SEPARATOR: Final = " · "
"""Between the flag and its score."""
CAPTION_SEPARATOR: Final = "  "
"""Between what a picture is and side and view."""
PICTURE_FILE: Final = "side and view not known"
"""Caption of a PNG or JPEG: such a file does not say what it shows, and its name is not trusted."""
NOT_EXCLUDED: Final = "this does not exclude cancer"
NO_REGION: Final = "AI result, no region"
NO_RESULT: Final = "AI: no result"
NO_RESULT_IS_NOT_NORMAL: Final = "The absence of an AI result is not a normal result."
PATIENTS_DIFFER: Final = "images of this study carry different Patient IDs: check"
LOW: Final = "low"
HIGH: Final = "high"
_MOST_DIGITS: Final = 12
_COUNTED_TO: Final = 99
"""More digits would make a Series Description longer than its 64 characters."""

REPORT_SERIES: Final = "report"
HEATMAP_SERIES: Final = "heatmap"
NO_REGION_SERIES: Final = "no region"
"""An image without heat is called no heatmap."""
CAD_SERIES: Final = "CAD marks"
MARKER_SERIES: Final = "regions"
MARKER_LAYER: Final = "AI result, not for diagnostic use"
SUMMARY_SERIES: Final = "summary"
SUMMARY_DERIVATION: Final = (
    "Summary: views of the study with marked regions, and what was decided about each breast"
)
MIRRORED: Final = "mirrored"
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


# The study list


def study_title(flagged: Sequence[Laterality | None], *, read: bool, complete: bool) -> str:
    """Return what the study list tells of a study: which breasts are flagged, or that it was not all read.

    Parameters
    ----------
    flagged
        The sides that are flagged.
    read
        Whether any image has a result.
    complete
        Whether every image has one.
    """
    if not read:
        return NO_RESULT
    if not flagged:
        return "AI: not flagged" if complete else "AI: not flagged, partial"
    sides = " and ".join(side.value for side in BREASTS if side in flagged)
    return f"AI: flagged {sides}" if sides else "AI: flagged"


def series_description(title: str, name: str, issue: int) -> str:
    """Return the Series Description of the results ``name`` of a study with that `study_title`.

    ``issue`` counts the reports on the study, from 1 on: a list of series shows which results are current.
    """
    return f"{title} - {numbered(name, issue)} - {NOT_FOR_DIAGNOSIS}"


def numbered(name: str, issue: int) -> str:
    """Return ``name`` with the number of what has replaced an earlier issue of it."""
    return name if issue == 1 else f"{name} {min(issue, _COUNTED_TO)}"


# Words that several sentences share


def percent(share: float) -> str:
    """Return a score of 0 to 1 as people read it, for example ``84.0 %``."""
    return f"{100 * share:.1f} %"


def sentence(words: str) -> str:
    """Return ``words`` with a capital first letter and the rest as it is."""
    return words[:1].upper() + words[1:]


def label_and_score(breast: Decision) -> str:
    """Return the class of a breast and its score."""
    return f"{breast.label.label} {percent(breast.scores[CLASSES.index(breast.label)])}"


def flag(breast: Decision) -> str:
    """Return whether a breast is flagged, with its `score_and_threshold`."""
    return FLAG_SEPARATOR.join([FLAGGED if breast.flagged else NOT_FLAGGED, score_and_threshold(breast)])


def score_and_threshold(breast: Decision) -> str:
    """Return a breast's malignant score and the threshold, of 100.

    Below the threshold both have as many decimals as tell them apart.
    """
    digits = 0
    score, threshold = _of_hundred(breast, digits)
    while not breast.flagged and score == threshold and digits < _MOST_DIGITS:
        digits += 1
        score, threshold = _of_hundred(breast, digits)
    return f"malignant score {score} (flag from {threshold})"


def population(breast: Decision) -> str | None:
    """Return how a breast compares with the examinations of its scanner; None without calibration."""
    examined = breast.threshold.population
    if examined is None or breast.percentile is None:
        return None
    return (
        f"higher than {breast.percentile} % of the last {examined.examinations} examinations of this scanner"
    )


def view_name(view: str | None) -> str:
    """Return a view's abbreviation, or that it is not known."""
    return view or "unknown view"


# The image


def remarks(finding: Analysed) -> list[str]:
    """Return what must stand beside the scores of an image."""
    sentences = []
    compared = population(finding.decision)
    if compared is not None:
        sentences.append(sentence(compared))
    if finding.label is ClassKey.NORMAL:
        sentences.append(f"Normal, no region marked: {NOT_EXCLUDED}")
    elif finding.region is None:
        shape = "lies on the breast's outline only" if finding.at_the_border else "is flat"
        sentences.append(f"No region marked, the activation map {shape}: {NOT_EXCLUDED}")
    elif not finding.flagged:
        sentences.append(f"{NOT_FLAGGED}: {NOT_EXCLUDED}")
    return sentences


def of_the_breast(finding: Analysed) -> str:
    """Return what was decided about an image's breast."""
    return f"Breast: {flag(finding.decision)}"


def image_alone(finding: Analysed) -> str:
    """Return the malignant score of the image without the other views of its breast."""
    return f"This image alone: malignant score {percent(finding.malignant)}"


def tracking_identifier(label: str) -> str:
    """Return the name under which viewers list what is said of the image ``label``."""
    return f"AI {label}"


def image_label(label: str, malignant: float) -> str:
    """Return what stands beside the mark in the image ``label`` whose own malignant score this is."""
    return f"AI {label}: malignant score {percent(malignant)}. Not for diagnosis."


def largest_of(finding: Analysed) -> list[str]:
    """Return that the report has one region of several, where it has."""
    places = len(finding.regions)
    return [f"Marked: the largest of {places} hottest places, the heatmap shows all"] if places > 1 else []


def image_without_result(label: str, reason: str) -> str:
    """Return what stands beside the image ``label`` that was not analysed."""
    return f"AI {label}: no result, {reason}"


def image_set_aside(label: str, reason: str) -> str:
    """Return what stands beside the image ``label`` that was set aside on purpose."""
    return f"AI {label}: set aside, {reason}"


# The summary page


def threshold_in_short(breast: Decision) -> str:
    """Return where the threshold of a breast comes from, without the figures that were measured."""
    return f"{threshold(breast).split('. ')[0].rstrip('.')}."


def empty_place(*, imaged: bool, of_side: bool) -> str:
    """Return why no picture hangs at a standard place; of a breast without any image nothing is missing."""
    if imaged:
        return "Not analysed"
    return "No such image in this study" if of_side else ""


def no_breast(*, of_side: bool) -> str:
    """Return what is said of a breast without a result."""
    return "No result" if of_side else "No images"


def places(depths: Mapping[str, float], tolerance: float) -> str:
    """Return whether the views of a breast point at one place, by how deep the region of each lies."""
    if not depths:
        return "No region marked"
    if len(depths) == 1:
        return f"Region marked in {next(iter(depths))} only"
    first, last = depths.values()
    agreed = abs(first - last) <= tolerance
    shares = " and ".join(f"{round(100 * depth)} %" for depth in depths.values())
    verb = "agree about the depth" if agreed else "point to different depths"
    return f"{' and '.join(depths)} {verb}: {shares} of the way from nipple to chest wall"


def depth_tolerance(tolerance: float) -> str:
    """Return when two views agree about the depth."""
    return (
        f"Depths agree where they differ by at most {round(100 * tolerance)} points; nipple and chest wall "
        "are estimated from the image. Marked is where the network looked (Grad-CAM), not a detected lesion."
    )


def without_results(views: Sequence[str | None]) -> str:
    """Return which views of a breast have no result."""
    return f"Without a result: {', '.join(map(view_name, views))}"


# The heatmap and the notice page


def picture_caption(caption: str, *, with_region: bool) -> str:
    """Return what a picture is, with side and view: the second line of its legend."""
    return CAPTION_SEPARATOR.join(["AI" if with_region else NO_REGION, caption])


def outlined(finding: Analysed) -> str:
    """Return how many places are outlined on a heatmap, and how many are not."""
    marked = len(finding.spots)
    words = "Outlined: the hottest place" if marked == 1 else f"Outlined: the {marked} hottest places"
    if not finding.at_the_border:
        return words
    return f"{words}; {finding.at_the_border} on the breast's outline not marked"


def explanation(explained: ClassKey) -> tuple[str, str]:
    """Return which class the map explains: the sentence, and a shorter one for narrow pictures."""
    short = f'Grad-CAM for "{explained.label}"'
    return f"{short}: where the network looked", short


def signature(model: NamedModel, issue: int = 1) -> str:
    """Return the last line of a picture: who says all this, and in which ``issue`` of the results."""
    signed = f"{model.name} {model.version}, investigational"
    return signed if issue == 1 else f"{signed}, {numbered('result', issue)}"


def derivation(model: ModelIdentity, *, with_map: bool) -> str:
    """Return how a heatmap came about (Derivation Description)."""
    picture = (
        f"Grad-CAM heat map of {model.name} {model.version} blended over the source image"
        if with_map
        else f"Source image without a map, scores of {model.name} {model.version}"
    )
    return f"{picture} (VOI LUT applied), legend added; not for measurement or diagnosis"


def without_result(label: str, reason: str) -> str:
    """Return the notice page's line about one image."""
    return f"{label}: {reason}"


# The markers


def marker(label: str, finding: Analysed) -> list[str]:
    """Return the lines beside the contours that are drawn on the original image ``label``."""
    places = [outlined(finding)] if len(finding.regions) > 1 else []
    return [f"AI {label}: {flag(finding.decision)}", *places, NOT_FOR_DIAGNOSIS]


def marker_description(label: str, finding: Analysed, number: int) -> str:
    """Return what a CAD mark on the image ``label`` is (Selected Region Description).

    ``number`` is that of its region, 0 the largest.
    """
    places = len(finding.regions)
    rank = f", place {number + 1} of {places} by size" if places > 1 else ""
    return (
        f"{label}: where the network looked (Grad-CAM){rank}, not a segmented or detected lesion. "
        f"{of_the_breast(finding)}. {image_alone(finding)}."
    )


# The report


def set_aside(labels: Sequence[str]) -> str:
    """Return which views were not read, on purpose: those with an implant whose displaced views were."""
    verb = "shows the implant" if len(labels) == 1 else "show the implant"
    words = "implant-displaced views (ID) are read instead, none is missing"
    return f"Set aside: {', '.join(labels)} {verb}; {words}"


def not_analysed(label: str, reason: str) -> str:
    """Return the report's sentence about an image without a result."""
    return f"Not analysed: {without_result(label, reason)}"


def examination(breast: str, score: float, difference: float | None) -> str:
    """Return the examination's malignant score, that of the ``breast``, and how far the sides differ."""
    words = f"Examination: malignant score {percent(score)}, that of: {breast}."
    if difference is None:
        return words
    higher = BREASTS[Laterality.RIGHT if difference > 0 else Laterality.LEFT].lower()
    if round(abs(difference), 3) == 0:
        return f"{words} Both sides have the same score."
    return f"{words} Difference between the sides: {100 * abs(difference):.1f} points, {higher} higher."


def breast_name(side: Laterality | None, views: Sequence[str | None], *, standard: bool) -> str:
    """Return which breast it is; images that are read alone are named with their view."""
    name = "Image of unknown side" if side is None else BREASTS[side]
    return name if standard else f"{name}, {view_name(views[0])}, read alone"


def breast_class(
    name: str, breast: Decision, views: Sequence[tuple[str | None, float]], missing: Sequence[str | None]
) -> str:
    """Return a breast's flag and class, the malignant score of each view, and what must stand beside it."""
    no_class = breast.label is ClassKey.NORMAL and missing
    label = (
        "No class for the breast, not all of its views have a result"
        if no_class
        else f"Class: {label_and_score(breast)}"
    )
    scores = ", ".join(f"{view_name(view)} {percent(score)}" for view, score in views)
    sentences = [f"{name}: {flag(breast)}.", f"{label}.", f"Malignant score per view: {scores}."]
    compared = population(breast)
    if compared is not None:
        sentences.append(f"{sentence(compared)}.")
    if missing:
        sentences.append(f"{without_results(missing)}.")
    if not breast.flagged:
        sentences.append(f"{NOT_FLAGGED}: {NOT_EXCLUDED}.")
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
        "does not exclude cancer. A breast is flagged where the mean of its views reaches the threshold."
    )


def threshold(breast: Decision) -> str:
    """Return where the threshold of a breast comes from."""
    return f"Flag from malignant score {breast.shown_threshold:.4f}: {breast.threshold.source}"


def meanings(identity: ModelIdentity) -> str:
    """Return what each class means: the definitions of the labels of the training images."""
    definitions = "; ".join(
        f"{key.label}: {identity.meanings[key].rstrip('. ')}" for key in CLASSES if key in identity.meanings
    )
    return f"Meaning of the classes (labels of the training images): {definitions}."


# The network


def algorithm_parameters(model: ModelIdentity, rule: FlagRule) -> list[str]:
    """Return what tells this network's results from another's (TID 4019, Algorithm Parameters)."""
    return [
        f"weights sha256={model.weights_sha256}",
        f"classes={','.join(CLASSES)}",
        f"activation=softmax; calibrated={'yes' if model.calibrated else 'no'}",
        f"flag={rule.setting}; {ClassKey.MALIGNANT} score of the breast>={rule.threshold.value:.4f}",
        "breast=mean of the logits of its views, repeats of a view averaged first",
        f"shares={_shares(rule)}",
        "explanation=Grad-CAM of Malignant where the breast is flagged, else of its likelier benign class",
        "region=cam>=0.5*max",
        f"preprocessing={model.preprocessing}",
    ]


def _shares(rule: FlagRule) -> str:
    if rule.shares is None:
        return "none given"
    return ",".join(f"{share:g}" for share in rule.shares)


def _of_hundred(breast: Decision, digits: int) -> tuple[str, str]:
    return f"{100 * breast.malignant:.{digits}f}", f"{100 * breast.shown_threshold:.{digits}f}"


def contribution(model: ModelIdentity) -> str:
    """Return which network contributed to an object (Contribution Description)."""
    return f"{model.name} {model.version}, weights sha256 {model.weights_sha256[:16]}"
