"""All objects that a study gets back: the report, a heatmap for each analysed image, and a notice page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from pydicom.dataset import Dataset

from inference.findings import Analysed, Laterality, ModelIdentity
from inference.options import OutputOptions, Predecessor, StudyImage
from inference.reading.mammogram import SourceImage
from inference.results import report, secondary_capture
from inference.results.identity import Device, Maker

_HANGING: Final = (
    (Laterality.RIGHT, "CC"),
    (Laterality.LEFT, "CC"),
    (Laterality.RIGHT, "MLO"),
    (Laterality.LEFT, "MLO"),
)
"""The order in which radiologists look, and the Instance Numbers 1 to 4 of the heatmaps."""


def study_objects(
    images: Sequence[StudyImage],
    *,
    made_at: datetime,
    device: Device,
    identity: ModelIdentity,
    options: OutputOptions,
    predecessor: Predecessor | None,
) -> list[Dataset]:
    """Return report, heatmaps and, where something was not analysed, the notice page, in this order.

    The same arguments give the same bytes. All objects copy patient and study from the image with the lowest
    SOP Instance UID, so that they agree; where the images name different patients, the report says so.

    Parameters
    ----------
    images
        Every image of one study that was looked at, in any order.
    made_at
        When the report is first made, aware.

    Raises
    ------
    ValueError
        No images, or images of several studies.
    """
    studies = {image.source.study_instance_uid for image in images}
    if len(studies) != 1:
        raise ValueError(f"a report needs images of exactly one study, these are of {len(studies)}")
    ordered = sorted(images, key=_hanging_order)
    first = min((image.source for image in images), key=lambda source: source.sop_instance_uid)
    maker = Maker(device=device, model=identity, options=options)
    whole_report = report.report_object(ordered, first, made_at=made_at, maker=maker, predecessor=predecessor)
    notice = secondary_capture.notice_object(ordered, first, maker=maker)
    captures = _heatmaps(ordered, first, maker)
    return [whole_report, *captures, *([] if notice is None else [notice])]


def _heatmaps(
    ordered: Sequence[StudyImage],
    first: SourceImage,
    maker: Maker,
) -> list[Dataset]:
    drawn = [image for image in ordered if isinstance(image.finding, Analysed) and image.heatmap is not None]
    numbers = _instance_numbers(drawn)
    return [
        secondary_capture.heatmap_object(
            image,
            first,
            numbers[image.source.sop_instance_uid],
            maker=maker,
        )
        for image in drawn
    ]


def _hanging_order(image: StudyImage) -> tuple[int, str]:
    return _place(image), image.source.sop_instance_uid


def _place(image: StudyImage) -> int:
    shown = (image.source.laterality, image.source.view)
    return next((place for place, view in enumerate(_HANGING) if view == shown), len(_HANGING))


def _instance_numbers(drawn: Sequence[StudyImage]) -> dict[str, int]:
    """Return Instance Numbers: 1 to 4 for the standard views, then the others in the order of analysis.

    A late image takes a free number and leaves those of the others alone: their objects have been sent.
    """
    numbers: dict[str, int] = {}
    taken: set[int] = set()
    following = len(_HANGING)
    for image in sorted(drawn, key=lambda image: (image.analysed_at, _hanging_order(image))):
        place = _place(image) + 1
        if place > len(_HANGING) or place in taken:
            following += 1
            place = following
        taken.add(place)
        numbers[image.source.sop_instance_uid] = place
    return numbers
