"""What the node negotiates: SOP classes and transfer syntaxes (PS3.4 annex B, PS3.5 annex A)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from pydicom.uid import (
    UID,
    BreastProjectionXRayImageStorageForPresentation,
    BreastProjectionXRayImageStorageForProcessing,
    BreastTomosynthesisImageStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    MammographyCADSRStorage,
    SecondaryCaptureImageStorage,
)
from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID, PYNETDICOM_IMPLEMENTATION_VERSION
from pynetdicom.pdu_primitives import SOPClassCommonExtendedNegotiation
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.service_class import ServiceClass, StorageServiceClass
from pynetdicom.sop_class import uid_to_service_class

from inference.reading import transfer_syntaxes
from scp.configuration.values import SRClass

VERIFICATION: Final = "1.2.840.10008.1.1"
"""pydicom has names for storage classes only, pynetdicom's are made at run time: mypy does not see them."""
COMMITMENT: Final = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model (PS3.4 J.3)."""
COMMITMENT_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
"""Its well-known SOP Instance."""

FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
MOVE: Final = "1.2.840.10008.5.1.4.1.2.2.2"
GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"
"""Study Root Query/Retrieve (PS3.4 C.6.2): what this node asks of peers, and answers to nobody."""

IMPLEMENTATION: Final = (str(PYNETDICOM_IMPLEMENTATION_UID), PYNETDICOM_IMPLEMENTATION_VERSION)
"""Implementation Class UID and Version Name of associations, both ways: those of the library."""

IMAGES: Final = (
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    BreastTomosynthesisImageStorage,
    BreastProjectionXRayImageStorageForPresentation,
    BreastProjectionXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)
"""Images that are kept, Secondary Capture where Modality is MG."""

NODE: Final = frozenset({VERIFICATION, COMMITMENT, *IMAGES})
"""The classes that this node does something with. Any other storage class is foreign to it."""

PROPOSALS: Final = 16
"""Proposals whose answer is remembered: a sender proposes the same each time, up to 128 contexts."""
CLASSES: Final = 1024
"""Classes of which is remembered whether they are stored."""

_STORAGE_SERVICE: Final = UID("1.2.840.10008.4.2")
"""Storage Service Class, as SOP Class Common Extended Negotiation names it (PS3.7 D.3.3.6)."""
_STORAGE_ROOT: Final = "1.2.840.10008.5.1.4.1.1."
"""How the UIDs of storage classes begin (PS3.6 annex A), of those too that are newer than pynetdicom."""


def verification() -> list[PresentationContext]:
    """Return the contexts for an association that asks whether the node is there, and nothing else."""
    return [build_context(VERIFICATION, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])]


def accepted(requested: Sequence[PresentationContext] = ()) -> list[PresentationContext]:
    """Return the contexts for an association that a peer opens: Storage, Verification, Storage Commitment.

    Accepted are the classes of this node, and what of ``requested`` is of any other storage class, in every
    transfer syntax that the peer proposes for it: nothing of such an object is read or kept. Senders such as
    Orthanc and DCMTK send nothing of a study, or not all, once a class of it is refused.

    The order of transfer syntaxes of an image is ours: pynetdicom takes the acceptor's first that the peer
    proposes. The contexts are shared among associations whose peers propose the same: nobody changes them.
    """
    foreign: dict[str, list[str]] = {}
    for context in requested:
        uid = str(context.abstract_syntax)
        if uid not in NODE and is_storage(uid):
            foreign.setdefault(uid, []).extend(map(str, context.transfer_syntax))
    return list(_accepted(tuple((uid, tuple(syntaxes)) for uid, syntaxes in foreign.items())))


@lru_cache(maxsize=PROPOSALS)
def _accepted(foreign: tuple[tuple[str, tuple[str, ...]], ...]) -> tuple[PresentationContext, ...]:
    """Return the contexts where a peer proposes ``foreign`` classes, each with its transfer syntaxes."""
    return (
        *verification(),
        *(build_context(uid, list(transfer_syntaxes.OFFERED)) for uid in IMAGES),
        _commitment_both_ways(),
        *(build_context(uid, list(syntaxes)) for uid, syntaxes in foreign),
    )


def _commitment_both_ways() -> PresentationContext:
    """Return the context over which a peer asks (as SCU), or brings reports on what it was asked (as SCP)."""
    context = commitment()
    context.scu_role, context.scp_role = True, True
    return context


@lru_cache(maxsize=CLASSES)
def is_storage(sop_class_uid: str) -> bool:
    """Whether objects of this class are stored by C-STORE: of a known class, or of one that nobody knows.

    A private class does not say what it is for; that of an object is by far the most frequent.
    """
    service = uid_to_service_class(sop_class_uid)
    return issubclass(service, StorageServiceClass) or _is_unknown_storage(sop_class_uid)


def storage_roles(requested: Sequence[PresentationContext]) -> dict[UID, SOPClassCommonExtendedNegotiation]:
    """Return for each class of ``requested`` that pynetdicom does not know, and `accepted` does, its service.

    Without it the library has no service for a C-STORE of that class, and aborts.
    """
    roles: dict[UID, SOPClassCommonExtendedNegotiation] = {}
    for uid in {str(context.abstract_syntax) for context in requested}:
        if _is_unknown_storage(uid):
            role = SOPClassCommonExtendedNegotiation()
            role.sop_class_uid, role.service_class_uid = UID(uid), _STORAGE_SERVICE
            roles[UID(uid)] = role
    return roles


@lru_cache(maxsize=CLASSES)
def _is_unknown_storage(sop_class_uid: str) -> bool:
    uid = UID(sop_class_uid)
    if uid_to_service_class(uid) is not ServiceClass:
        return False
    return uid.is_private or uid.startswith(_STORAGE_ROOT) or "Storage" in uid.name


def proposed(sop_classes: set[str], compressed: Sequence[UID] = ()) -> list[PresentationContext]:
    """Return the contexts of the Storage SCU for objects of ``sop_classes``, all made in Explicit VR LE.

    Each of the transfer syntaxes ``compressed``, for pictures, has a context of its own: of several in one, a
    peer accepts one only, and not the best.
    """
    pictures = sorted(uid for uid in sop_classes if is_picture(uid))
    return [
        *(
            build_context(uid, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
            for uid in sorted(sop_classes)
        ),
        *(build_context(uid, [syntax]) for uid in pictures for syntax in compressed),
    ]


def retrieval(sop_classes: Sequence[str]) -> list[PresentationContext]:
    """Return the contexts of ``sop_classes``: a query or retrieval, and the images that come by C-GET."""
    return [
        build_context(
            uid,
            list(transfer_syntaxes.OFFERED)
            if uid in IMAGES
            else [ExplicitVRLittleEndian, ImplicitVRLittleEndian],
        )
        for uid in sop_classes
    ]


def each_alone(sop_classes: set[str], compressed: Sequence[UID]) -> list[PresentationContext]:
    """Return what `proposed` gives, one transfer syntax in each context: so a peer says which it takes."""
    return [
        build_context(str(context.abstract_syntax), [syntax])
        for context in proposed(sop_classes, compressed)
        for syntax in context.transfer_syntax
    ]


_REPORTS: Final = (ComprehensiveSRStorage, Comprehensive3DSRStorage)
CLASSES_OF_KINDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "SR": _REPORTS,
        "SR-OUTLINE": _REPORTS,
        "SUMMARY": (SecondaryCaptureImageStorage,),
        "SC": (SecondaryCaptureImageStorage,),
        "NOTICE": (SecondaryCaptureImageStorage,),
        "CAD-SR": (MammographyCADSRStorage,),
        "GSPS": (GrayscaleSoftcopyPresentationStateStorage,),
    }
)
"""SOP classes of each line of `inference.results.kinds`, which brings highdicom and is not imported here."""


def classes_of(kind: str, sr_class: SRClass) -> tuple[str, ...]:
    """Return the SOP classes in which results of ``kind`` (`inference.results.kinds`) go, the best first."""
    classes = CLASSES_OF_KINDS[kind]
    return classes if sr_class == "comprehensive" else classes[::-1]


def is_picture(sop_class_uid: str) -> bool:
    """Tell whether objects of this class that are sent have pixels, which may be compressed."""
    return sop_class_uid == SecondaryCaptureImageStorage


def commitment() -> PresentationContext:
    """Return the context for storage commitment, as proposed by whoever asks or reports.

    Who brings a report proposes itself as SCP (PS3.7 D.3.3.4); a peer that negotiates no role is understood
    all the same.
    """
    return build_context(COMMITMENT, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
