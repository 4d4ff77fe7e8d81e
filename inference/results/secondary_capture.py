"""What all Secondary Capture Images that are sent back have in common (PS3.3 A.8.1).

No frame of reference and no pixel spacing: the pictures are resized and have a legend, they are not for
measuring.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    SecondaryCaptureImageStorage,
)

from inference import wording
from inference.findings import Laterality
from inference.reading.mammogram import SourceImage
from inference.results import codes, copying, headers
from inference.results.identity import Device, Maker
from inference.results.study import Series

_LOSSY: Final = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless})
"""Transfer syntaxes that have lost something, whatever the header says."""
_NOTHING_LOST: Final = frozenset({"", "00", "0", "NO"})
"""What Lossy Image Compression says of an image that has lost nothing, or where it says nothing."""


def capture(maker: Maker, series: Series, number: int) -> Dataset:
    """Return what every capture has: class, series, and that nobody can be recognised in it."""
    target = Dataset()
    target.SOPClassUID = UID(SecondaryCaptureImageStorage)
    target.Modality = maker.options.sc_modality
    target.SeriesNumber, target.InstanceNumber = series.number, number
    target.SeriesDescription = series.description
    target.ConversionType = "WSD"
    target.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    target.BodyPartExamined = "BREAST"  # lets mammography viewers take it
    target.BurnedInAnnotation = target.RecognizableVisualFeatures = "NO"
    target.ImageComments = wording.BANNER
    return target


def source_reference(source: SourceImage) -> Dataset:
    """Return the item of Source Image Sequence that refers to ``source``."""
    reference = headers.image_reference(source)
    reference.PurposeOfReferenceCodeSequence = Sequence([codes.item(codes.SOURCE_IMAGE)])
    reference.SpatialLocationsPreserved = "NO"  # resized, legend added
    return reference


def describe_sides(target: Dataset, sources: Many[SourceImage]) -> None:
    """Add which breast ``sources`` show: one, or both; none is claimed where that of an image is unknown."""
    sides = {source.laterality for source in sources if source.laterality is not None}
    if len(sides) > 1:
        target.ImageLaterality = Laterality.BOTH.value
    elif any(source.laterality is None for source in sources):
        target.Laterality = ""  # 2C for a paired body part: empty says unknown, absent is an error
    else:
        target.ImageLaterality = sides.pop().value


def add_device(target: Dataset, device: Device, made_at: datetime, first: SourceImage) -> None:
    """Add the SC Equipment module (PS3.3 C.8.6.1)."""
    target.SecondaryCaptureDeviceManufacturer = device.manufacturer
    target.SecondaryCaptureDeviceManufacturerModelName = device.model_name
    target.SecondaryCaptureDeviceSoftwareVersions = device.software_version
    target.DateOfSecondaryCapture, target.TimeOfSecondaryCapture = headers.date_and_time(made_at, first)


def describe_compression(target: Dataset, sources: Many[SourceImage]) -> None:
    """Hand on that something was lost in a source: once 01, never 00 again (PS3.3 C.7.6.1.1.5)."""
    lossy = [source for source in sources if _is_lossy(source)]
    target.LossyImageCompression = "01" if lossy else "00"
    for source in lossy[:1]:
        copying.copy_all(source.header, target, ("LossyImageCompressionRatio", "LossyImageCompressionMethod"))


def _is_lossy(source: SourceImage) -> bool:
    meta = getattr(source.header, "file_meta", Dataset())
    written = {value.strip() for value in copying.texts(source.header, "LossyImageCompression")}
    return bool(written - _NOTHING_LOST) or meta.get("TransferSyntaxUID") in _LOSSY


def embed(target: Dataset, picture: NDArray[np.uint8]) -> None:
    """Add ``picture`` (height by width by 3) as Pixel Data, padded to an even length (PS3.5 8.1.1)."""
    target.SamplesPerPixel, target.PhotometricInterpretation, target.PlanarConfiguration = 3, "RGB", 0
    target.Rows, target.Columns = picture.shape[:2]
    target.BitsAllocated, target.BitsStored, target.HighBit, target.PixelRepresentation = 8, 8, 7, 0
    raw = picture.tobytes()
    target.add_new("PixelData", "OB", raw + bytes(len(raw) % 2))
