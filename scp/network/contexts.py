"""What the node negotiates: SOP classes and transfer syntaxes (PS3.4 annex B, PS3.5 annex A)."""

from __future__ import annotations

from typing import Final

from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    BreastProjectionXRayImageStorageForPresentation,
    BreastProjectionXRayImageStorageForProcessing,
    BreastTomosynthesisImageStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    MammographyCADSRStorage,
    SecondaryCaptureImageStorage,
    XRayRadiationDoseSRStorage,
)
from pynetdicom.presentation import PresentationContext, build_context

from inference.reading import transfer_syntaxes

VERIFICATION: Final = "1.2.840.10008.1.1"
"""pydicom has names for storage classes only, pynetdicom's are made at run time: mypy does not see them."""
COMMITMENT: Final = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model (PS3.4 J.3)."""
COMMITMENT_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
"""Its well-known SOP Instance."""

IMAGES: Final = (
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    BreastTomosynthesisImageStorage,
    BreastProjectionXRayImageStorageForPresentation,
    BreastProjectionXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)
"""Images that are kept, Secondary Capture where Modality is MG."""

COMPANIONS: Final = (
    ComprehensiveSRStorage,
    Comprehensive3DSRStorage,
    MammographyCADSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    BasicTextSRStorage,
    EnhancedSRStorage,
    KeyObjectSelectionDocumentStorage,
    XRayRadiationDoseSRStorage,
    EncapsulatedPDFStorage,
)
"""What travels in the same study: our own results, and others' documents.

They are accepted in negotiation and answered each by itself (own results dropped with success, foreign
documents refused): some archives, Orthanc for example, send nothing at all of a study when one of its classes
is refused.
"""


def accepted() -> list[PresentationContext]:
    """Return the contexts of the Storage and Verification SCP.

    The order of transfer syntaxes is ours: pynetdicom takes the acceptor's first that the peer proposes.
    """
    uncompressed: list[str | UID] = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
    return [
        build_context(VERIFICATION, uncompressed),
        *(build_context(uid, list(transfer_syntaxes.OFFERED)) for uid in IMAGES),
        *(build_context(uid, [*uncompressed, DeflatedExplicitVRLittleEndian]) for uid in COMPANIONS),
    ]


def proposed(sop_classes: set[str]) -> list[PresentationContext]:
    """Return the contexts of the Storage SCU for objects of ``sop_classes``, all made in Explicit VR LE."""
    return [
        build_context(uid, [ExplicitVRLittleEndian, ImplicitVRLittleEndian]) for uid in sorted(sop_classes)
    ]


def commitment() -> PresentationContext:
    """Return the context for storage commitment: of its SCU where proposed, of its reports where accepted.

    A peer that brings a report proposes itself as SCP (PS3.7 D.3.3.4); one that negotiates no role is
    understood all the same.
    """
    return build_context(COMMITMENT, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
