"""What the report says of the study and of each breast (TID 1500, Qualitative Evaluations).

A breast is Normal only if every view of it is, and only if every view of it has a result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.sr.coding import Code

from inference import wording
from inference.findings import (
    CLASSES,
    Analysed,
    AnalysisStatus,
    ClassKey,
    Laterality,
    ModelIdentity,
    NotAnalysed,
)
from inference.options import StudyImage
from inference.reading.mammogram import SourceImage
from inference.results import codes, copying

_CONTAINS = RelationshipTypeValues.CONTAINS
_BREASTS: Final = (
    (Laterality.RIGHT, "Right breast"),
    (Laterality.LEFT, "Left breast"),
    (Laterality.BOTH, "Image of both breasts"),
)


def container(
    images: Sequence[StudyImage], replaces: str | None, model: ModelIdentity
) -> ContainerContentItem:
    """Return the container; ``replaces`` is a sentence about the report that this one replaces."""
    items: list[ContentItem] = [CodeContentItem(codes.SUMMARY_OF_ANALYSES, _status(images), _CONTAINS)]
    if copying.patients_differ(image.source.header for image in images):
        items.append(_comment(wording.sentence(wording.PATIENTS_DIFFER)))
    items += [
        _comment(f"Not analysed: {image.source.label}: {image.finding.reason}")
        for image in images
        if isinstance(image.finding, NotAnalysed)
    ]
    for side, name in _BREASTS:
        items += _breast(side, name, [image for image in images if image.source.laterality is side])
    items += _unknown_side([image for image in images if image.source.laterality is None])
    if replaces is not None:
        items.append(_comment(replaces))
    items.append(_comment(wording.limitations(model)))
    if model.meanings:
        items.append(_comment(wording.meanings(model)))
    whole = ContainerContentItem(name=codes.QUALITATIVE_EVALUATIONS, relationship_type=_CONTAINS)
    whole.ContentSequence = ContentSequence(items)
    return whole


def _status(images: Sequence[StudyImage]) -> Code:
    """Return how the analysis of the study ended (CID 6042)."""
    failed = [image.finding.status for image in images if isinstance(image.finding, NotAnalysed)]
    if not failed:
        return codes.SUCCEEDED
    if len(failed) < len(images):
        return codes.PARTIALLY_SUCCEEDED
    attempted = AnalysisStatus.FAILED in failed
    return codes.STATUS_OF[AnalysisStatus.FAILED if attempted else AnalysisStatus.NOT_ATTEMPTED]


def _breast(side: Laterality, name: str, images: Sequence[StudyImage]) -> Iterator[ContentItem]:
    views = list(_analysed(images))
    if not views:
        return
    missing = [image.source for image in images if isinstance(image.finding, NotAnalysed)]
    label, source = _decisive(views)
    if label is ClassKey.NORMAL and missing:
        yield _comment(
            f"{name}: no class for the breast, not all of its views have a result. {_told(views, missing)}"
        )
        return
    finding = CodeContentItem(codes.FINDING, codes.FINDING_OF[label], _CONTAINS)
    finding.ContentSequence = ContentSequence(
        [CodeContentItem(codes.LATERALITY, codes.SIDE_OF[side], RelationshipTypeValues.HAS_CONCEPT_MOD)]
    )
    yield finding
    why = "every view" if label is ClassKey.NORMAL else f"view {_view(source)}"
    yield _comment(f"{name}: {label.label} ({why}). {_told(views, missing)}")


def _analysed(images: Sequence[StudyImage]) -> Iterator[tuple[SourceImage, Analysed]]:
    for image in images:
        if isinstance(image.finding, Analysed):
            yield image.source, image.finding


def _decisive(views: Sequence[tuple[SourceImage, Analysed]]) -> tuple[ClassKey, SourceImage]:
    """Return a breast's class: that of the highest malignant score among the views not Normal."""
    suspicious = [view for view in views if view[1].label is not ClassKey.NORMAL]
    source, finding = max(suspicious or views, key=lambda view: view[1].malignant)
    return finding.label, source


def _told(views: Sequence[tuple[SourceImage, Analysed]], missing: Sequence[SourceImage]) -> str:
    """Return the malignant score of every view, and what must be said beside it."""
    scores = ", ".join(f"{_view(source)} {wording.percent(finding.malignant)}" for source, finding in views)
    said = [f"Malignant score per view: {scores}."]
    reached = [_view(source) for source, finding in views if finding.at_operating_point]
    if reached:
        said.append(f"{wording.sentence(wording.AT_OPERATING_POINT)} ({', '.join(reached)}).")
    if missing:
        said.append(f"Without a result: {', '.join(_view(source) for source in missing)}.")
    if any(finding.label is ClassKey.NORMAL for _, finding in views):
        said.append(f"Normal: {wording.NOT_EXCLUDED}.")
    return " ".join(said)


def _unknown_side(images: Sequence[StudyImage]) -> Iterator[ContentItem]:
    """Say what belongs to no breast's line, because nobody knows which breast it is."""
    for source, finding in _analysed(images):
        score = wording.percent(finding.scores[CLASSES.index(finding.label)])
        yield _comment(
            f"{wording.sentence(source.label)}: {finding.label.label} {score}, counted for neither breast. "
            f"{_told([(source, finding)], [])}"
        )


def _view(source: SourceImage) -> str:
    return source.view or "unknown view"


def _comment(text: str) -> TextContentItem:
    return TextContentItem(codes.COMMENT, text, _CONTAINS)
