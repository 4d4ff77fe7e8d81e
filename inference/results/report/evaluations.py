"""What the report says of the study and of each breast (TID 1500, Qualitative Evaluations), and first of all.

A breast is called Normal only if every view of it has a result.
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
from inference.examination import BreastReading, Examination
from inference.findings import CLASSES, AnalysisStatus, ClassKey, ModelIdentity
from inference.options import StudyImage
from inference.results import codes, copying
from inference.results.study import not_read

_CONTAINS = RelationshipTypeValues.CONTAINS


def conclusion(examination: Examination) -> TextContentItem:
    """Return the comment that stands before everything else: readers of text never scroll to the evaluations.

    TID 1500 has no such row; it is open to more content, so PixelMed's validator only warns of it.
    """
    lines = [
        f"{wording.BANNER}.",
        *(_in_words(breast) for breast in examination.breasts),
        *_warnings(examination),
    ]
    return _comment("\r\n".join(lines))


def container(examination: Examination, replaces: str | None, model: ModelIdentity) -> ContainerContentItem:
    """Return the container; ``replaces`` is a sentence about the report that this one replaces."""
    items: list[ContentItem] = [
        CodeContentItem(codes.SUMMARY_OF_ANALYSES, _status(examination.images), _CONTAINS)
    ]
    items += [_comment(text) for text in _warnings(examination)]
    for breast in examination.breasts:
        items += _breast(breast)
    items += _whole(examination)
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
    failed = [image.missing.status for image in images if image.missing is not None]
    if not failed:
        return codes.SUCCEEDED
    if len(failed) < len(images):
        return codes.PARTIALLY_SUCCEEDED
    attempted = AnalysisStatus.FAILED in failed
    return codes.STATUS_OF[AnalysisStatus.FAILED if attempted else AnalysisStatus.NOT_ATTEMPTED]


def _warnings(examination: Examination) -> list[str]:
    """Return what a reader must know before any score: different patients, and images that were not read."""
    images = examination.images
    differ = copying.patients_differ(image.source.header for image in images)
    return [wording.sentence(wording.PATIENTS_DIFFER)] * differ + not_read(images)


def _breast(breast: BreastReading) -> Iterator[ContentItem]:
    """Return the class of a breast as a code, where it has one and a side, and all of it in words."""
    if breast.side is not None and breast.standard and breast.label is not None:
        finding = CodeContentItem(codes.FINDING, codes.FINDING_OF[breast.label], _CONTAINS)
        side = codes.SIDE_OF[breast.side]
        finding.ContentSequence = ContentSequence(
            [CodeContentItem(codes.LATERALITY, side, RelationshipTypeValues.HAS_CONCEPT_MOD)]
        )
        yield finding
    yield _comment(_in_words(breast))


def _in_words(breast: BreastReading) -> str:
    """Return flag, class and scores of a breast."""
    views = [
        (image.view, scores[CLASSES.index(ClassKey.MALIGNANT)])
        for image, scores in zip(breast.images, breast.scores, strict=True)
    ]
    missing = [image.view for image in breast.missing]
    return wording.breast_class(_name(breast), breast.decision, views, missing)


def _name(breast: BreastReading) -> str:
    return wording.breast_name(breast.side, breast.views, standard=breast.standard)


def _whole(examination: Examination) -> Iterator[ContentItem]:
    """Return the score of the whole examination, and where each threshold comes from."""
    highest = examination.highest
    if highest is None:
        return
    yield _comment(wording.examination(_name(highest), highest.decision.malignant, examination.difference))
    for text in dict.fromkeys(wording.threshold(breast.decision) for breast in examination.breasts):
        yield _comment(text)


def _comment(text: str) -> TextContentItem:
    return TextContentItem(codes.COMMENT, text, _CONTAINS)
