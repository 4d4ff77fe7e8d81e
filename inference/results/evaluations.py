"""What the report says of the study and of each breast (TID 1500, Qualitative Evaluations).

A breast is Normal only if every view of it is, and only if every view of it has a result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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


def container(
    images: Sequence[StudyImage], replaces: str | None, model: ModelIdentity
) -> ContainerContentItem:
    """Return the container; ``replaces`` is a sentence about the report that this one replaces."""
    items: list[ContentItem] = [CodeContentItem(codes.SUMMARY_OF_ANALYSES, _status(images), _CONTAINS)]
    if copying.patients_differ(image.source.header for image in images):
        items.append(_comment(wording.sentence(wording.PATIENTS_DIFFER)))
    items += [
        _comment(wording.not_analysed(image.source.label, image.finding.reason))
        for image in images
        if isinstance(image.finding, NotAnalysed)
    ]
    for side in wording.BREASTS:
        items += _breast(side, [image for image in images if image.source.laterality is side])
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


def _breast(side: Laterality, images: Sequence[StudyImage]) -> Iterator[ContentItem]:
    views = list(_analysed(images))
    if not views:
        return
    missing = [image.source for image in images if isinstance(image.finding, NotAnalysed)]
    scores = _scores(views, missing)
    label, source = _decisive(views)
    if label is ClassKey.NORMAL and missing:
        yield _comment(wording.breast_without_class(side, scores))
        return
    finding = CodeContentItem(codes.FINDING, codes.FINDING_OF[label], _CONTAINS)
    finding.ContentSequence = ContentSequence(
        [CodeContentItem(codes.LATERALITY, codes.SIDE_OF[side], RelationshipTypeValues.HAS_CONCEPT_MOD)]
    )
    yield finding
    yield _comment(wording.breast_class(side, label, source.view, scores))


def _analysed(images: Sequence[StudyImage]) -> Iterator[tuple[SourceImage, Analysed]]:
    for image in images:
        if isinstance(image.finding, Analysed):
            yield image.source, image.finding


def _decisive(views: Sequence[tuple[SourceImage, Analysed]]) -> tuple[ClassKey, SourceImage]:
    """Return a breast's class: that of the highest malignant score among the views not Normal."""
    suspicious = [view for view in views if view[1].label is not ClassKey.NORMAL]
    source, finding = max(suspicious or views, key=lambda view: view[1].malignant)
    return finding.label, source


def _scores(views: Sequence[tuple[SourceImage, Analysed]], missing: Sequence[SourceImage]) -> str:
    return wording.scores_per_view(
        [(source.view, finding) for source, finding in views], [source.view for source in missing]
    )


def _unknown_side(images: Sequence[StudyImage]) -> Iterator[ContentItem]:
    """Say what belongs to no breast's line, because nobody knows which breast it is."""
    for source, finding in _analysed(images):
        scores = _scores([(source, finding)], [])
        yield _comment(wording.counted_for_neither_breast(source.label, finding, scores))


def _comment(text: str) -> TextContentItem:
    return TextContentItem(codes.COMMENT, text, _CONTAINS)
