"""The report's Image Library (PS3.16 TID 1600): every image that was looked at, in coded words.

Built here because highdicom's own has neither side nor view, and refuses images without spacing.
"""

from __future__ import annotations

from collections.abc import Sequence

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    DateContentItem,
    ImageContentItem,
    NumContentItem,
    RelationshipTypeValues,
    TextContentItem,
)

from inference.reading.damage import UNREADABLE_VALUE
from inference.reading.mammogram import SourceImage
from inference.results import codes, source_attributes

_CONTAINS = RelationshipTypeValues.CONTAINS
_CONTEXT = RelationshipTypeValues.HAS_ACQ_CONTEXT


def library(images: Sequence[SourceImage]) -> ContainerContentItem:
    """Return the container that lists ``images``; what a source does not say is left out."""
    group = ContainerContentItem(name=codes.IMAGE_LIBRARY_GROUP, relationship_type=_CONTAINS)
    group.ContentSequence = ContentSequence(
        [
            CodeContentItem(codes.MODALITY, codes.MAMMOGRAPHY, _CONTEXT),
            CodeContentItem(codes.TARGET_REGION, codes.BREAST, _CONTEXT),
            *(_entry(image) for image in images),
        ]
    )
    whole = ContainerContentItem(name=codes.IMAGE_LIBRARY, relationship_type=_CONTAINS, template_id="1600")
    whole.ContentSequence = ContentSequence([group])
    return whole


def _entry(image: SourceImage) -> ImageContentItem:
    entry = ImageContentItem(
        name=codes.SOURCE,
        referenced_sop_class_uid=image.sop_class_uid,
        referenced_sop_instance_uid=image.sop_instance_uid,
        relationship_type=_CONTAINS,
    )
    described = _described(image)
    if described:
        entry.ContentSequence = ContentSequence(described)
    return entry


def _described(image: SourceImage) -> list[ContentItem]:
    """Return what is known of ``image``; nothing where a value in its header fits no content item.

    The scores of a whole study must not be lost for a detail that nobody needs to read them.
    """
    try:
        return [*_pixel_matrix(image), *_anatomy(image), *_geometry(image)]
    except UNREADABLE_VALUE:
        return []


def _pixel_matrix(image: SourceImage) -> list[ContentItem]:
    """Return acquisition date and size (TID 1602)."""
    items: list[ContentItem] = []
    day = source_attributes.acquisition_date(image)
    if day is not None:
        items.append(DateContentItem(codes.ACQUISITION_DATE, day, _CONTEXT))
    for name, amount in (
        (codes.PIXEL_DATA_ROWS, image.rows),
        (codes.PIXEL_DATA_COLUMNS, image.columns),
    ):
        if amount:
            items.append(NumContentItem(name, amount, codes.PIXELS, relationship_type=_CONTEXT))
    return items


def _anatomy(image: SourceImage) -> list[ContentItem]:
    """Return side and view (TID 1602, 1603)."""
    items: list[ContentItem] = []
    if image.laterality is not None:
        items.append(CodeContentItem(codes.IMAGE_LATERALITY, codes.SIDE_OF[image.laterality], _CONTEXT))
    viewed = source_attributes.view(image)
    if viewed is not None:
        view, modifiers = viewed
        item = CodeContentItem(codes.IMAGE_VIEW, view, _CONTEXT)
        if modifiers:
            item.ContentSequence = ContentSequence(
                [
                    CodeContentItem(
                        codes.IMAGE_VIEW_MODIFIER, modifier, RelationshipTypeValues.HAS_CONCEPT_MOD
                    )
                    for modifier in modifiers
                ]
            )
        items.append(item)
    return items


def _geometry(image: SourceImage) -> list[ContentItem]:
    """Return orientation and spacing (TID 1603)."""
    items: list[ContentItem] = []
    directions = source_attributes.orientation(image)
    if directions is not None:
        items.append(TextContentItem(codes.ORIENTATION_ROW, directions[0], _CONTEXT))
        items.append(TextContentItem(codes.ORIENTATION_COLUMN, directions[1], _CONTEXT))
    spacing = source_attributes.spacing(image)
    if spacing is not None:
        between_rows, between_columns = spacing
        for name, amount in (
            (codes.HORIZONTAL_SPACING, between_columns),
            (codes.VERTICAL_SPACING, between_rows),
        ):
            items.append(NumContentItem(name, amount, codes.MILLIMETER, relationship_type=_CONTEXT))
    return items
