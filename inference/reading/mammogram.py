"""A mammogram's header in the words that the rest uses, and whether the image can be analysed at all.

Reads headers only. Knows which images are mammograms, what they show and which of them belong together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import pydicom
from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    BreastTomosynthesisImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)

from inference.errors import Failed
from inference.findings import Laterality
from inference.reading import attributes, bounded, damage, views
from inference.reading.digests import attributes_digest, header_digest

__all__ = [
    "PROJECTIONS",
    "STANDARD_VIEWS",
    "TOMOSYNTHESIS",
    "SourceImage",
    "attributes_digest",
    "describe",
    "header_digest",
    "header_only",
    "is_for_processing",
    "is_mammogram",
    "is_mentioned",
    "objection",
    "read",
    "same_as_presented",
]

BreastProjectionForPresentation: Final = UID("1.2.840.10008.5.1.4.1.1.13.1.4")
BreastProjectionForProcessing: Final = UID("1.2.840.10008.5.1.4.1.1.13.1.5")

PROJECTIONS: Final = frozenset(
    {DigitalMammographyXRayImageStorageForPresentation, DigitalMammographyXRayImageStorageForProcessing}
)
"""Digital Mammography X-Ray: one projection of one breast."""
TOMOSYNTHESIS: Final = frozenset(
    {BreastTomosynthesisImageStorage, BreastProjectionForPresentation, BreastProjectionForProcessing}
)
"""Reconstructed slices, and the projections that they are made from."""
STANDARD_VIEWS: Final = frozenset(
    (side, view) for side in (Laterality.RIGHT, Laterality.LEFT) for view in ("CC", "MLO")
)
"""The four views of a screening examination."""

_SPECIAL: Final = {
    "specimen": "specimen image: only images of the breast itself are analysed",
    "phantom": "image of a test phantom: only images of a breast are analysed",
    "magnification": "magnification view: the network reads whole-breast views only",
    "spot compression": "spot compression view: the network reads whole-breast views only",
    "stereotactic": "stereotactic view: the network reads whole-breast views only",
    "biopsy": "image of a biopsy: the network reads whole-breast views only",
    "cleavage": "cleavage view: it shows parts of both breasts, the network reads one whole breast",
}
"""Reasons, in the order in which one is chosen."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SourceImage:
    """One mammogram's header, read into the words the rest uses."""

    header: Dataset
    """The whole data set with its file meta information, without Pixel Data."""
    laterality: Laterality | None
    """The side on which all sources in the header agree."""
    view: str | None
    """The view on which all sources in the header agree: ``CC``, ``MLO``, ``ML``, …"""

    @property
    def sop_class_uid(self) -> str:
        """SOP Class UID (0008,0016)."""
        return _text(self.header, "SOPClassUID")

    @property
    def sop_instance_uid(self) -> str:
        """SOP Instance UID (0008,0018)."""
        return _text(self.header, "SOPInstanceUID")

    @property
    def study_instance_uid(self) -> str:
        """Study Instance UID (0020,000D)."""
        return _text(self.header, "StudyInstanceUID")

    @property
    def series_instance_uid(self) -> str:
        """Series Instance UID (0020,000E)."""
        return _text(self.header, "SeriesInstanceUID")

    @property
    def rows(self) -> int:
        """Rows (0028,0010), 0 where absent."""
        return _count(self.header, "Rows", 0)

    @property
    def columns(self) -> int:
        """Columns (0028,0011), 0 where absent."""
        return _count(self.header, "Columns", 0)

    @property
    def frames(self) -> int:
        """Number of Frames (0028,0008), 1 where absent."""
        return _count(self.header, "NumberOfFrames", 1)

    @property
    def label(self) -> str:
        """The image in a few words: ``R CC``, or what of it is unknown."""
        if self.laterality is None and self.view is None:
            return "unknown side and view"
        if self.laterality is None:
            return f"unknown side, {self.view}"
        return (
            f"{self.laterality.value} {self.view}" if self.view else f"{self.laterality.value}, unknown view"
        )


def read(path: Path) -> SourceImage:
    """Read the header of a DICOM file.

    Raises
    ------
    Failed
        The file is no DICOM file, or its header is damaged.
    OSError
        The file is not to be had now.
    """
    with bounded.opened(path) as file, damage.told_as(damage.HEADER):
        try:
            return describe(pydicom.dcmread(file, stop_before_pixels=True))
        except InvalidDicomError:
            raise Failed("the file is not a DICOM file") from None


def describe(header: Dataset) -> SourceImage:
    """Say what ``header`` is about; its Pixel Data, if any, is left out."""
    if "PixelData" in header:
        header = _without_pixels(header)
    return SourceImage(header=header, laterality=views.side(header), view=views.view(header))


def header_only(header: Dataset) -> bytes:
    """Return a DICOM file (PS3.10) of ``header`` without Pixel Data, which `read` can read again."""
    file = BytesIO()
    whole = _without_pixels(header) if "PixelData" in header else header
    whole.save_as(file, enforce_file_format=True)
    return file.getvalue()


def is_mammogram(header: Dataset) -> bool:
    """Whether an object belongs here at all: mammography, tomosynthesis, or a capture with Modality MG."""
    sop_class = _text(header, "SOPClassUID")
    if sop_class == SecondaryCaptureImageStorage:
        return _text(header, "Modality") == "MG"
    return sop_class in PROJECTIONS or sop_class in TOMOSYNTHESIS


def objection(image: SourceImage) -> str | None:
    """Return why the header alone forbids an analysis, as words for a radiographer, or None."""
    header = image.header
    if not is_mammogram(header):
        return "not a mammogram: only digital mammography and captures with modality MG are analysed"
    return _objection_to_kind(image) or _objection_to_view(image) or _objection_to_pixels(image)


def is_for_processing(image: SourceImage) -> bool:
    """Whether these are raw detector values (PS3.3 A.26)."""
    return (
        image.sop_class_uid == DigitalMammographyXRayImageStorageForProcessing
        or _text(image.header, "PresentationIntentType") == "FOR PROCESSING"
    )


def same_as_presented(processing: SourceImage, others: Sequence[SourceImage]) -> bool:
    """Whether one of ``others`` is the For Presentation twin of the For Processing image ``processing``.

    Its Source Image Sequence says so; where it has none, side, view and acquisition time must be the same.
    """
    return any(
        _made_from(other, processing)
        for other in others
        if other.study_instance_uid == processing.study_instance_uid and not is_for_processing(other)
    )


def is_mentioned(image: SourceImage, study: Sequence[SourceImage]) -> bool:
    """Whether the report on ``study`` speaks of ``image``: not of raw data whose presentation is there."""
    return not (is_for_processing(image) and same_as_presented(image, study))


def _text(header: Dataset, keyword: str) -> str:
    """Return an attribute as text, "" where it is absent or cannot be read."""
    return str(attributes.value(header, keyword) or "")


def _count(header: Dataset, keyword: str, absent: int) -> int:
    """Return a number of things; what is no number counts as absent."""
    try:
        return int(attributes.value(header, keyword) or absent)
    except (ValueError, TypeError, OverflowError):
        return absent


def _made_from(presented: SourceImage, processing: SourceImage) -> bool:
    sources = attributes.items(presented.header, "SourceImageSequence")
    named = {_text(source, "ReferencedSOPInstanceUID") for source in sources} - {""}
    if named:
        return processing.sop_instance_uid in named
    known = processing.laterality is not None and processing.view is not None
    return known and _acquisition(presented) == _acquisition(processing)


def _acquisition(image: SourceImage) -> tuple[Laterality | None, str | None, str, str]:
    header = image.header
    return (
        image.laterality,
        image.view,
        _text(header, "AcquisitionDate"),
        _text(header, "AcquisitionTime"),
    )


def _objection_to_kind(image: SourceImage) -> str | None:
    kinds = set(views.words_of(image.header, "ImageType"))
    if "TOMO" in kinds and "GENERATED" in kinds:
        return "synthetic view made from tomosynthesis: the network was trained on acquired mammograms only"
    if "TOMO" in kinds or image.sop_class_uid in TOMOSYNTHESIS:
        return "tomosynthesis: only single projection mammograms are analysed"
    if is_for_processing(image):
        return "For Processing image: only images prepared for presentation are analysed"
    return None


def _objection_to_view(image: SourceImage) -> str | None:
    special = views.specials(image.header)
    if image.laterality is Laterality.BOTH and not special:
        return "the image shows both breasts: the network reads one breast at a time"
    return next((reason for kind, reason in _SPECIAL.items() if kind in special), None)


def _objection_to_pixels(image: SourceImage) -> str | None:
    if image.frames > 1:
        return f"the image has {image.frames} frames: only single projection mammograms are analysed"
    photometric = _text(image.header, "PhotometricInterpretation")
    if _count(image.header, "SamplesPerPixel", 1) != 1 or photometric not in {"MONOCHROME1", "MONOCHROME2"}:
        return "the image is not grey-scale (photometric interpretation): only grey mammograms are analysed"
    return None


def _without_pixels(header: Dataset) -> Dataset:
    """Return a shallow copy without Pixel Data; `Dataset.copy` would share its elements with the caller's."""
    rest = Dataset({tag: header.get_item(tag) for tag in header.keys() if tag != Tag("PixelData")})  # noqa: SIM118
    implicit_vr, little_endian = header.original_encoding
    rest.set_original_encoding(implicit_vr, little_endian, header.original_character_set)
    if hasattr(header, "file_meta"):
        rest.file_meta = header.file_meta
    return rest
