"""Why a header alone forbids an analysis, in sentences for a radiographer.

Knows which objects are mammograms, and which mammograms the network was trained to read.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from pydicom import Dataset
from pydicom.uid import (
    BreastProjectionXRayImageStorageForPresentation,
    BreastProjectionXRayImageStorageForProcessing,
    BreastTomosynthesisImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)

from inference.findings import Laterality
from inference.reading import attributes, titles
from inference.reading.views import ShownView

PROJECTIONS: Final = frozenset(
    {DigitalMammographyXRayImageStorageForPresentation, DigitalMammographyXRayImageStorageForProcessing}
)
"""Digital Mammography X-Ray: one projection of one breast."""
TOMOSYNTHESIS: Final = frozenset(
    {
        BreastTomosynthesisImageStorage,
        BreastProjectionXRayImageStorageForPresentation,
        BreastProjectionXRayImageStorageForProcessing,
    }
)
"""Reconstructed slices, and the projections that they are made from."""

NOT_GREY: Final = (
    "the image is not grey-scale (photometric interpretation): only grey mammograms are analysed"
)

NOT_SQUARE: Final = "the pixels of the image are not square: it would be read squeezed"
_SQUARE: Final = 0.02
"""Part by which height and width of a pixel may differ: rounding, and less than a breast's own shapes do."""
SYNTHETIC: Final = (
    "synthetic view made from tomosynthesis: the network was trained on acquired mammograms only"
)
_SINGLE: Final = "only single projection mammograms are analysed"
TOMOSYNTHESIS_IMAGE: Final = f"tomosynthesis: {_SINGLE}"
SEVERAL_FRAMES: Final = f"the image has more than one frame: {_SINGLE}"
RENDERINGS: Final = (SYNTHETIC, TOMOSYNTHESIS_IMAGE)
"""Objections to images that show again what a mammogram of the same view shows, the nearest to it first."""
_SYNTHETIC_WORDS: Final = frozenset({"GENERATED", "SYNTHETIC", "SYNTHESIZED", "SYNTHESISED", "PREVIEW"})
"""Words of Image Type (GENERATED_2D, V_PREVIEW) for a picture computed from tomosynthesis."""

BURNED_IN: Final = "burned in"
_SPECIAL: Final = {
    BURNED_IN: "capture with marks burned into its pixels (another system's result): only mammograms without "
    "marks are analysed",
    "specimen": "specimen image: only images of the breast itself are analysed",
    "phantom": "image of a test phantom: only images of a breast are analysed",
    "magnification": "magnification view: the network reads whole-breast views only",
    "spot compression": "spot compression view: the network reads whole-breast views only",
    "stereotactic": "stereotactic view: the network reads whole-breast views only",
    "biopsy": "image of a biopsy: the network reads whole-breast views only",
    "cleavage": "cleavage view: it shows parts of both breasts, the network reads one whole breast",
}
"""Reasons, in the order in which one is chosen."""


def find(header: Dataset, view: ShownView) -> str | None:
    """Return why ``header``, whose image shows ``view``, forbids an analysis, or None."""
    if not is_mammogram(header):
        return "not a mammogram: only digital mammography and captures with modality MG are analysed"
    return _of_the_object(header) or _of_the_view(view) or _of_the_pixels(header)


def is_mammogram(header: Dataset) -> bool:
    """Whether an object belongs here at all: mammography, tomosynthesis, or a capture with Modality MG."""
    sop_class = attributes.text(header, "SOPClassUID")
    if sop_class == SecondaryCaptureImageStorage:
        return attributes.text(header, "Modality") == "MG"
    return sop_class in PROJECTIONS or sop_class in TOMOSYNTHESIS


def is_for_processing(header: Dataset) -> bool:
    """Whether the pixels are raw detector values (PS3.3 A.26)."""
    return (
        attributes.text(header, "SOPClassUID") == DigitalMammographyXRayImageStorageForProcessing
        or attributes.text(header, "PresentationIntentType") == "FOR PROCESSING"
    )


def is_marked_capture(header: Dataset) -> bool:
    """Whether a capture says that marks are burned into its pixels, or was derived from an image (C.7.6.1).

    A film that was digitised is no capture of a screen: a marker beside its breast is burned in, too. What
    calls itself a mammogram is a capture where it says both: ordinary ones are derived and primary.
    """
    captured = titles.words_of(header, "ImageType")[:2] == ["DERIVED", "SECONDARY"]
    burned_in = attributes.text(header, "BurnedInAnnotation").strip().upper()
    if attributes.text(header, "SOPClassUID") != SecondaryCaptureImageStorage:
        return captured and burned_in == "YES"
    if attributes.text(header, "ConversionType") == "DF":
        return False
    return burned_in == "YES" or (burned_in != "NO" and captured)


def is_grey(header: Dataset) -> bool:
    """Whether a pixel is one grey value (PS3.3 C.7.6.3.1)."""
    photometric = attributes.text(header, "PhotometricInterpretation")
    samples = attributes.count(header, "SamplesPerPixel", absent=1)
    return samples == 1 and photometric in {"MONOCHROME1", "MONOCHROME2"}


def _of_the_object(header: Dataset) -> str | None:
    words = titles.words_of(header, "ImageType")
    # words are cut at the underscore: C_VIEW, S_VIEW
    if not _SYNTHETIC_WORDS.isdisjoint(words) or {("C", "VIEW"), ("S", "VIEW")} & set(pairwise(words)):
        return SYNTHETIC
    if {"TOMO", "TOMOSYNTHESIS"} & set(words) or attributes.text(header, "SOPClassUID") in TOMOSYNTHESIS:
        return TOMOSYNTHESIS_IMAGE
    if is_for_processing(header):
        return "For Processing image: only images prepared for presentation are analysed"
    return None


def _of_the_view(view: ShownView) -> str | None:
    if view.side is Laterality.BOTH and not view.specials:
        return "the image shows both breasts: the network reads one breast at a time"
    return next((reason for special, reason in _SPECIAL.items() if special in view.specials), None)


def _of_the_pixels(header: Dataset) -> str | None:
    frames = attributes.count(header, "NumberOfFrames", absent=1)
    if frames > 1:
        return f"the image has {frames} frames: {_SINGLE}"
    if not is_grey(header):
        return NOT_GREY
    return None if _has_square_pixels(header) else NOT_SQUARE


def _has_square_pixels(header: Dataset) -> bool:
    """Whether nothing says that pixels are wider than high, or the reverse (PS3.3 C.7.6.3.1.7, C.8.11.7)."""
    for keyword in ("PixelAspectRatio", "ImagerPixelSpacing"):
        heights, widths = attributes.numbers(header, keyword) or (1.0, 1.0)
        if min(heights, widths) > 0 and abs(heights / widths - 1) > _SQUARE:
            return False
    return True
