"""One mammogram's header in the words that the rest uses: read once, by reception or by whoever opens a file.

Reads headers only. Knows what an image shows, whether it can be analysed at all and which images belong
together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from io import BytesIO
from pathlib import Path
from typing import Final

from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.tag import Tag

from inference.errors import Failed
from inference.findings import Laterality
from inference.reading import attributes, character_sets, damage, objections, unknown_vr, views
from inference.reading.digests import PATIENT_AND_STUDY, header_digest, study_digest
from inference.reading.options import DEFAULT, ReadingOptions

STANDARD_VIEWS: Final = ("RCC", "LCC", "RMLO", "LMLO")
"""The four views of a screening examination, in the order in which radiologists look."""

COPIED: Final = (*PATIENT_AND_STUDY, "ViewCodeSequence", "AnatomicRegionSequence")
"""Where the texts stand that results copy."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageDescription:
    """What the node understood of one image's header: made on receipt, kept as a row, read by the jobs.

    Every field is a text, a number, a truth value or a tuple of texts, so that a column or JSON can keep it.
    """

    sop_class_uid: str
    """SOP Class UID (0008,0016); as all texts here "" where it is absent or cannot be read."""
    sop_instance_uid: str
    """SOP Instance UID (0008,0018)."""
    study_instance_uid: str
    """Study Instance UID (0020,000D)."""
    series_instance_uid: str
    """Series Instance UID (0020,000E)."""
    laterality: Laterality | None
    """The side on which all sources in the header agree."""
    view: str | None
    """The view on which all sources in the header agree: ``CC``, ``MLO``, ``ML``, …"""
    objection: str | None
    """Why the header alone forbids an analysis, as words for a radiographer; None where it does not."""
    for_processing: bool
    """Whether these are raw detector values (PS3.3 A.26)."""
    acquisition_date: str
    """Acquisition Date (0008,0022)."""
    acquisition_time: str
    """Acquisition Time (0008,0032)."""
    source_instance_uids: tuple[str, ...]
    """Referenced SOP Instance UIDs of Source Image Sequence (0008,2112), in its order."""
    rows: int
    """Rows (0028,0010), 0 where absent."""
    columns: int
    """Columns (0028,0011), 0 where absent."""
    frames: int
    """Number of Frames (0028,0008), 1 where absent."""
    header_digest: str
    """SHA-256 (hexadecimal) of all that the header says of the image, not of whose it is."""
    study_digest: str
    """SHA-256 (hexadecimal) of the patient and study attributes that results copy."""

    @property
    def standard_view(self) -> str | None:
        """The image's place among `STANDARD_VIEWS`; None where it has none or is not analysed."""
        name = f"{self.laterality}{self.view}"
        return name if self.objection is None and name in STANDARD_VIEWS else None

    @property
    def label(self) -> str:
        """The image in a few words: ``R CC``, or what of it is unknown."""
        return _label(self.laterality, self.view)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SourceImage(ImageDescription):
    """A described image with its header at hand, from which results copy attributes."""

    header: Dataset
    """The whole data set with its file meta information, without Pixel Data."""

    @property
    def label(self) -> str:
        """The image in a few words, with the ``ID`` of an implant-displaced view."""
        label = _label(self.laterality, self.view)
        return f"{label} ID" if self.view and self.implant_displaced else label

    @property
    def implant_displaced(self) -> bool:
        """Whether an implant was pushed out of the picture (PS3.16 CID 4015)."""
        return views.implant_displaced(self.header)

    @property
    def description(self) -> ImageDescription:
        """The description alone, as the database keeps it."""
        return ImageDescription(
            **{field.name: getattr(self, field.name) for field in fields(ImageDescription)}
        )


def read(path: Path, options: ReadingOptions = DEFAULT) -> SourceImage:
    """Read the header of a DICOM file.

    Raises
    ------
    Failed
        The file is no DICOM file, or its header is damaged.
    OSError
        The file is not to be had now.
    """
    with damage.translated(damage.HEADER), attributes.tolerant():
        return describe(_header(path), options)


def reopen(path: Path, description: ImageDescription, options: ReadingOptions = DEFAULT) -> SourceImage:
    """Read the header of a DICOM file that was described before; nothing in it is interpreted again.

    Raises
    ------
    Failed
        The file is no DICOM file, or its header is damaged.
    OSError
        The file is not to be had now.
    """
    fields_of_description = {
        field.name: getattr(description, field.name) for field in fields(ImageDescription)
    }
    with damage.translated(damage.HEADER):
        declared = _header(path)
        header = character_sets.decoded(declared, COPIED, site=options.character_set)
        if header is not declared:  # another choice of the site than when it was received: other objects
            fields_of_description["study_digest"] = study_digest(header)
        return SourceImage(header=header, **fields_of_description)


def describe(header: Dataset, options: ReadingOptions = DEFAULT) -> SourceImage:
    """Say what ``header`` is about; its Pixel Data, if any, is left out."""
    if "PixelData" in header:
        header = _without_pixels(header)
    header = character_sets.decoded(header, COPIED, site=options.character_set)
    view = views.read(header)
    if options.burned_in == "refuse" and objections.is_marked_capture(header):
        view = replace(view, specials=view.specials | {objections.BURNED_IN})
    return SourceImage(
        header=header,
        sop_class_uid=attributes.text(header, "SOPClassUID"),
        sop_instance_uid=attributes.text(header, "SOPInstanceUID"),
        study_instance_uid=attributes.text(header, "StudyInstanceUID"),
        series_instance_uid=attributes.text(header, "SeriesInstanceUID"),
        laterality=view.side,
        view=view.view,
        objection=objections.find(header, view),
        for_processing=objections.is_for_processing(header),
        acquisition_date=attributes.text(header, "AcquisitionDate"),
        acquisition_time=attributes.text(header, "AcquisitionTime"),
        source_instance_uids=_source_instance_uids(header),
        rows=attributes.count(header, "Rows", absent=0),
        columns=attributes.count(header, "Columns", absent=0),
        frames=attributes.count(header, "NumberOfFrames", absent=1),
        header_digest=header_digest(header, view),
        study_digest=study_digest(header),
    )


def header_only(header: Dataset) -> bytes:
    """Return a DICOM file (PS3.10) of ``header`` without Pixel Data, which `read` can read again."""
    file = BytesIO()
    whole = _without_pixels(header) if "PixelData" in header else header
    whole.save_as(file, enforce_file_format=True)
    return file.getvalue()


def same_as_presented(processing: ImageDescription, images: Sequence[ImageDescription]) -> bool:
    """Whether one of ``images`` is the For Presentation twin of the For Processing image ``processing``.

    Its Source Image Sequence says so; where it has none, side, view and acquisition time must be the same.
    """
    return any(
        _made_from(image, processing)
        for image in images
        if image.study_instance_uid == processing.study_instance_uid and not image.for_processing
    )


def is_mentioned(image: ImageDescription, study: Sequence[ImageDescription]) -> bool:
    """Whether the report on ``study`` speaks of ``image``.

    Not of raw data whose presentation is there, nor of tomosynthesis and synthetic views of what another
    image shows that is nearer to a mammogram: nothing is missing where that one is read.
    """
    if image.for_processing and same_as_presented(image, study):
        return False
    if image.objection not in objections.RENDERINGS or image.laterality is None or image.view is None:
        return True
    nearer = (None, *objections.RENDERINGS[: objections.RENDERINGS.index(image.objection)])
    return not any(
        rendering.objection in nearer
        and (rendering.study_instance_uid, rendering.laterality, rendering.view)
        == (image.study_instance_uid, image.laterality, image.view)
        for rendering in study
    )


def _label(side: Laterality | None, view: str | None) -> str:
    if side is None and view is None:
        return "unknown side and view"
    if side is None:
        return f"unknown side, {view}"
    return f"{side.value} {view}" if view else f"{side.value}, unknown view"


def _made_from(presented: ImageDescription, processing: ImageDescription) -> bool:
    if presented.source_instance_uids:
        return processing.sop_instance_uid in presented.source_instance_uids
    certain = processing.laterality is not None and processing.view is not None
    return certain and _acquisition(presented) == _acquisition(processing)


def _acquisition(image: ImageDescription) -> tuple[Laterality | None, str | None, str, str]:
    return image.laterality, image.view, image.acquisition_date, image.acquisition_time


def _source_instance_uids(header: Dataset) -> tuple[str, ...]:
    sources = attributes.items(header, "SourceImageSequence")
    uids = (attributes.text(source, "ReferencedSOPInstanceUID") for source in sources)
    return tuple(uid for uid in uids if uid)


def _header(path: Path) -> Dataset:
    with damage.opened(path) as file:
        try:
            return unknown_vr.read(file, stop_before_pixels=True)
        except InvalidDicomError:
            raise Failed("the file is not a DICOM file") from None


def _without_pixels(header: Dataset) -> Dataset:
    """Return a shallow copy without Pixel Data; `Dataset.copy` would share its elements with the caller's."""
    rest = Dataset({tag: header.get_item(tag) for tag in header.keys() if tag != Tag("PixelData")})  # noqa: SIM118
    implicit_vr, little_endian = header.original_encoding
    rest.set_original_encoding(implicit_vr, little_endian, header.original_character_set)
    if hasattr(header, "file_meta"):
        rest.file_meta = header.file_meta
    return rest
