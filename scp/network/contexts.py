"""What the node negotiates: SOP classes and transfer syntaxes (PS3.4 annex B, PS3.5 annex A)."""

from __future__ import annotations

from typing import Final

from pynetdicom.presentation import PresentationContext, build_context

from inference.reading import transfer_syntaxes

VERIFICATION: Final = "1.2.840.10008.1.1"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
IMPLICIT: Final = "1.2.840.10008.1.2"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"

COMMITMENT: Final = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model (PS3.4 J.3)."""
COMMITMENT_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
"""Its well-known SOP Instance."""

SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
COMPREHENSIVE_SR: Final = "1.2.840.10008.5.1.4.1.1.88.33"
COMPREHENSIVE_3D_SR: Final = "1.2.840.10008.5.1.4.1.1.88.34"

IMAGES: Final = (
    "1.2.840.10008.5.1.4.1.1.1.2",  # Digital Mammography X-Ray Image - For Presentation
    "1.2.840.10008.5.1.4.1.1.1.2.1",  # Digital Mammography X-Ray Image - For Processing
    "1.2.840.10008.5.1.4.1.1.13.1.3",  # Breast Tomosynthesis Image
    "1.2.840.10008.5.1.4.1.1.13.1.4",  # Breast Projection X-Ray Image - For Presentation
    "1.2.840.10008.5.1.4.1.1.13.1.5",  # Breast Projection X-Ray Image - For Processing
    SECONDARY_CAPTURE,
)
"""Images that are kept, Secondary Capture where Modality is MG."""

COMPANIONS: Final = (
    COMPREHENSIVE_SR,
    COMPREHENSIVE_3D_SR,
    "1.2.840.10008.5.1.4.1.1.88.50",  # Mammography CAD SR
    "1.2.840.10008.5.1.4.1.1.11.1",  # Grayscale Softcopy Presentation State
    "1.2.840.10008.5.1.4.1.1.88.11",  # Basic Text SR
    "1.2.840.10008.5.1.4.1.1.88.22",  # Enhanced SR
    "1.2.840.10008.5.1.4.1.1.88.59",  # Key Object Selection Document
    "1.2.840.10008.5.1.4.1.1.88.67",  # X-Ray Radiation Dose SR
    "1.2.840.10008.5.1.4.1.1.104.1",  # Encapsulated PDF
)
"""What travels in the same study: our own results, and others' documents.

They are accepted in negotiation and answered one by one (own ones dropped with success, foreign ones
refused), because some archives, Orthanc for one, send nothing at all of a study when one of its classes is
refused.
"""


def accepted() -> list[PresentationContext]:
    """Return the contexts of the Storage and Verification SCP.

    The order of transfer syntaxes is ours: pynetdicom takes the acceptor's first that the peer proposes.
    """
    documents = [EXPLICIT, IMPLICIT, DEFLATED]
    return [
        build_context(VERIFICATION, [EXPLICIT, IMPLICIT]),
        *(build_context(uid, list(transfer_syntaxes.OFFERED)) for uid in IMAGES),
        *(build_context(uid, documents) for uid in COMPANIONS),
    ]


def proposed(sop_classes: set[str]) -> list[PresentationContext]:
    """Return the contexts of the Storage SCU for objects of ``sop_classes``, all made in Explicit VR LE."""
    return [build_context(uid, [EXPLICIT, IMPLICIT]) for uid in sorted(sop_classes)]


def commitment() -> PresentationContext:
    """Return the context for storage commitment: of its SCU where proposed, of its reports where accepted.

    A peer that brings a report proposes itself as SCP (PS3.7 D.3.3.4); one that negotiates no role is
    understood all the same.
    """
    return build_context(COMMITMENT, [EXPLICIT, IMPLICIT])
