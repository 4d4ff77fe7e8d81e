"""Heatmaps and the notice page as Secondary Capture Images (PS3.3 A.8.1).

One instance for each source image, so that each hangs and is linked by itself. No frame of reference and no
pixel spacing: the picture is resized and has a legend, it is not for measuring.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.coding import Code
from pydicom.uid import (
    UID,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    SecondaryCaptureImageStorage,
)

from inference import wording
from inference.findings import Analysed, Laterality, ModelIdentity, NotAnalysed
from inference.heatmap import heatmap
from inference.options import StudyImage
from inference.reading.mammogram import SourceImage
from inference.results import codes, copying, headers, identity, source_attributes
from inference.results.identity import Device, Maker
from inference.results.keys import header_key, study_key

HEATMAP_SERIES: Final = 9001
NOTICE_SERIES: Final = 9006
_LOSSY: Final = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless})
"""Transfer syntaxes that have lost something, whatever the header says."""


def heatmap_object(
    image: StudyImage,
    first: SourceImage,
    number: int,
    *,
    maker: Maker,
) -> Dataset:
    """Return the heatmap of an analysed ``image`` as Secondary Capture, with Instance Number ``number``.

    Patient and study come from ``first``. Raises ValueError for an image without a heatmap, OSError where
    its file cannot be read.
    """
    source, finding = image.source, image.finding
    if not isinstance(finding, Analysed) or image.heatmap is None:
        raise ValueError(f"image {source.sop_instance_uid} has no heatmap to be sent")
    capture = _capture(maker, HEATMAP_SERIES, "AI heatmap - NOT FOR DIAGNOSTIC USE", number)
    capture.SOPInstanceUID = identity.uid(
        "SC",
        source=[source.sop_instance_uid, None],
        header=header_key(source),
        caption=source.label,
        number=number,
        finding=identity.finding_key(finding),
        **study_key(first),
        **maker.key(),
    )
    capture.SeriesInstanceUID = identity.uid(
        "series-SC",
        # Laterality belongs to the series: an image of unknown side cannot be in that of the others
        side_known=source.laterality is not None,
        **study_key(first),
        **maker.key(),
    )
    _describe_source(capture, source)
    _describe_derivation(capture, finding, maker.model)
    _embed(capture, _read(image))
    _secondary_capture_device(capture, maker.device, image.analysed_at, first)
    headers.dress(capture, first, maker=maker, made_at=image.analysed_at)
    return capture


def notice_object(
    images: Many[StudyImage],
    first: SourceImage,
    *,
    maker: Maker,
) -> Dataset | None:
    """Return the page that names the images without a result and why; None where every one has a result.

    It is a series of its own: what a notice says of its series, such as the side, is not true of a later one.
    """
    missing = [(image, image.finding) for image in images if isinstance(image.finding, NotAnalysed)]
    if not missing or not maker.options.notice:
        return None
    made_at = max(image.analysed_at for image, _ in missing)
    key = {
        "missing": [
            [
                image.source.sop_instance_uid,
                image.source.label,
                header_key(image.source),
                identity.finding_key(why),
            ]
            for image, why in missing
        ],
        **study_key(first),
        **maker.key(),
    }
    page = _capture(maker, NOTICE_SERIES, "AI notice: images without a result", 1)
    page.SOPInstanceUID = identity.uid("SC-notice", **key)
    page.SeriesInstanceUID = identity.uid("series-SC-notice", **key)
    page.PatientOrientation = ""
    sides = {image.source.laterality for image, _ in missing}
    side = sides.pop() if len(sides) == 1 else None
    page.ImageLaterality = (side or Laterality.BOTH).value
    page.LossyImageCompression = "00"
    page.DerivationDescription = "Notice: images that the AI has not analysed"
    page.SourceImageSequence = Sequence([_source_reference(image.source) for image, _ in missing])
    lines = [f"{image.source.label}: {why.reason}" for image, why in missing]
    _embed(page, heatmap.notice(lines, maker.model))
    _secondary_capture_device(page, maker.device, made_at, first)
    headers.dress(page, first, maker=maker, made_at=made_at)
    return page


def _capture(maker: Maker, series: int, description: str, number: int) -> Dataset:
    """Return what every page has: class, series, and that nobody can be recognised in it."""
    capture = Dataset()
    capture.SOPClassUID = UID(SecondaryCaptureImageStorage)
    capture.Modality = maker.options.sc_modality
    capture.SeriesNumber, capture.InstanceNumber = series, number
    capture.SeriesDescription = description
    capture.ConversionType = "WSD"
    capture.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    capture.BodyPartExamined = "BREAST"  # lets mammography viewers take it
    capture.BurnedInAnnotation = capture.RecognizableVisualFeatures = "NO"
    capture.ImageComments = wording.BANNER
    return capture


def _describe_source(capture: Dataset, source: SourceImage) -> None:
    """Add what makes the heatmap hang like its source: the pixels are never flipped."""
    capture.PatientOrientation = list(source_attributes.orientation(source) or ()) or ""
    if source.laterality is None:
        capture.Laterality = ""  # 2C for a paired body part: empty says unknown, absent is an error
    else:
        capture.ImageLaterality = source.laterality.value
    if source.view is not None:
        capture.ViewPosition = source.view
    viewed = source_attributes.view(source)
    if viewed is not None:
        view, modifiers = viewed
        capture.ViewCodeSequence = Sequence([_view_item(view, modifiers)])
    capture.AnatomicRegionSequence = Sequence([codes.item(source_attributes.anatomic_region(source))])
    copying.copy_all(source.header, capture, ("AcquisitionDate", "AcquisitionTime"))
    _describe_compression(capture, source)
    capture.SourceImageSequence = Sequence([_source_reference(source)])


def _view_item(view: Code, modifiers: Many[Code]) -> Dataset:
    item = codes.item(view)
    if modifiers:  # type 3 with 1-n items here: an empty one, as mammograms have it, is an error
        item.ViewModifierCodeSequence = Sequence([codes.item(modifier) for modifier in modifiers])
    return item


def _describe_compression(capture: Dataset, source: SourceImage) -> None:
    """Hand on that something was lost: once 01, never 00 again (PS3.3 C.7.6.1.1.5)."""
    meta = getattr(source.header, "file_meta", Dataset())
    lossy = copying.text(source.header, "LossyImageCompression") == "01"
    lossy = lossy or meta.get("TransferSyntaxUID") in _LOSSY
    capture.LossyImageCompression = "01" if lossy else "00"
    if lossy:
        copying.copy_all(
            source.header, capture, ("LossyImageCompressionRatio", "LossyImageCompressionMethod")
        )


def _describe_derivation(capture: Dataset, finding: Analysed, model: ModelIdentity) -> None:
    shown = finding.shows_region and finding.region is not None
    if shown:
        what = f"Grad-CAM heat map of {model.name} {model.version} blended over the source image"
        derivations = [codes.GRAD_CAM, codes.SPATIAL_RESAMPLING]
    else:
        what = f"Source image without a map, scores of {model.name} {model.version}"
        derivations = [codes.SPATIAL_RESAMPLING]
    capture.DerivationDescription = (
        f"{what} (VOI LUT applied), legend strip added below; not for measurement or diagnosis"
    )
    capture.DerivationCodeSequence = Sequence([codes.item(code) for code in derivations])


def _source_reference(source: SourceImage) -> Dataset:
    reference = headers.image_reference(source)
    reference.PurposeOfReferenceCodeSequence = Sequence([codes.item(codes.SOURCE_IMAGE)])
    reference.SpatialLocationsPreserved = "NO"  # resized, strip added
    return reference


def _secondary_capture_device(
    capture: Dataset, device: Device, made_at: datetime, first: SourceImage
) -> None:
    """Add the SC Equipment module (PS3.3 C.8.6.1)."""
    capture.SecondaryCaptureDeviceManufacturer = device.manufacturer
    capture.SecondaryCaptureDeviceManufacturerModelName = device.model_name
    capture.SecondaryCaptureDeviceSoftwareVersions = device.software_version
    capture.DateOfSecondaryCapture, capture.TimeOfSecondaryCapture = headers.date_and_time(made_at, first)


def _read(image: StudyImage) -> NDArray[np.uint8]:
    with Image.open(str(image.heatmap)) as kept:
        return np.asarray(kept.convert("RGB"))


def _embed(capture: Dataset, picture: NDArray[np.uint8]) -> None:
    """Add ``picture`` (height by width by 3) as Pixel Data, padded to an even length (PS3.5 8.1.1)."""
    capture.SamplesPerPixel, capture.PhotometricInterpretation, capture.PlanarConfiguration = 3, "RGB", 0
    capture.Rows, capture.Columns = picture.shape[:2]
    capture.BitsAllocated, capture.BitsStored, capture.HighBit, capture.PixelRepresentation = 8, 8, 7, 0
    raw = picture.tobytes()
    capture.add_new("PixelData", "OB", raw + bytes(len(raw) % 2))
