"""Transfer syntaxes whose pixels really decode here, in the order in which they are preferred.

Each is proven by a test that stores an image at every bit depth the syntax allows, and compares it with its
source. Constants only: the listening process offers what stands here and never touches a pixel.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

LOSSLESS: Final[tuple[str, ...]] = (
    JPEGLSLossless,
    JPEGLosslessSV1,
    JPEGLossless,
    JPEG2000Lossless,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    RLELossless,
)
"""Compressed without loss: smallest and fastest to decode first."""
NATIVE: Final[tuple[str, ...]] = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
)
"""Pixels as they are; Deflated last, for it must be inflated whole."""
LOSSY: Final[tuple[str, ...]] = (
    JPEGLSNearLossless,
    JPEG2000,
    HTJ2K,
    JPEGExtended12Bit,
    JPEGBaseline8Bit,
)
"""Syntaxes that may lose detail: taken only from a peer that has nothing better."""

OFFERED: Final[tuple[str, ...]] = (*LOSSLESS, *NATIVE, *LOSSY)
"""What the node accepts, most wanted first."""

FASTEST: Final = MappingProxyType(
    {
        RLELossless: "pylibjpeg",
        JPEGLSLossless: "pyjpegls",
        JPEGLSNearLossless: "pyjpegls",
        JPEG2000Lossless: "pylibjpeg",
        JPEG2000: "pylibjpeg",
        HTJ2KLossless: "pylibjpeg",
        HTJ2KLosslessRPCL: "pylibjpeg",
        HTJ2K: "pylibjpeg",
        JPEGLossless: "gdcm",
        JPEGLosslessSV1: "gdcm",
        JPEGBaseline8Bit: "gdcm",
        JPEGExtended12Bit: "gdcm",
    }
)
"""pydicom's plugin for each compressed syntax: of several the fastest, measured at 8.5 megapixels."""
