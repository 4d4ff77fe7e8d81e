"""DIMSE statuses by name, and which refusal carries which.

PS3.4 B.2.3 (Storage Service), PS3.7 9.1.1.1.9 and annex C. A refusal is always a *failure* status: a
warning (0xB000 to 0xB007) means "stored, but", and a sender may then delete its copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pynetdicom.status import (
    STATUS_FAILURE,
    STATUS_SUCCESS,
    STATUS_WARNING,
    STORAGE_SERVICE_CLASS_STATUS,
    code_to_category,
)

from storage.refused import Refused

SUCCESS: Final = 0x0000
OUT_OF_RESOURCES: Final = 0xA700
DOES_NOT_MATCH_SOP_CLASS: Final = 0xA900
CANNOT_UNDERSTAND: Final = 0xC000
PROCESSING_FAILURE: Final = 0x0110
SOP_CLASS_NOT_SUPPORTED: Final = 0x0122
NOT_AUTHORIZED: Final = 0x0124
NO_SUCH_EVENT_TYPE: Final = 0x0113
NO_SUCH_ARGUMENT: Final = 0x0114
INVALID_ARGUMENT: Final = 0x0115
INVALID_SOP_INSTANCE: Final = 0x0117
DUPLICATE_TRANSACTION: Final = 0x0131
NO_SUCH_INSTANCE: Final = 0x0112
CLASS_INSTANCE_CONFLICT: Final = 0x0119
NO_SUCH_ACTION: Final = 0x0123
RESOURCE_LIMITATION: Final = 0x0213

COMMENT_LENGTH: Final = 64
"""Error Comment (0000,0902) is an LO: 64 characters at most (PS3.5 6.2)."""


class Refusal(Exception):  # noqa: N818 - it is an answer to the peer, not a fault of ours
    """An instance that is not kept; knows its status, and as what it is counted.

    The message becomes the Error Comment.
    """

    status = PROCESSING_FAILURE
    reason = Refused.FAULT


class OutOfResources(Refusal):
    """Nothing can be kept now; the peer should try again later."""

    status = OUT_OF_RESOURCES
    reason = Refused.NO_ROOM


class Foreign(Refusal):
    """The instance is not for this node: refused only where ``[node] foreign`` says so."""

    status = DOES_NOT_MATCH_SOP_CLASS
    reason = Refused.FOREIGN


class Incomplete(Refusal):
    """The mammogram lacks an attribute without which nothing can be filed or sent back."""

    status = DOES_NOT_MATCH_SOP_CLASS
    reason = Refused.INCOMPLETE


class Unreadable(Refusal):
    """The bytes are no data set in the agreed transfer syntax."""

    status = CANNOT_UNDERSTAND
    reason = Refused.UNREADABLE


class OtherPixels(Refusal):
    """The SOP Instance UID is already kept with other pixels; the first one stands."""

    status = CANNOT_UNDERSTAND
    reason = Refused.CONFLICT


class OtherPatient(Refusal):
    """Its SOP Instance UID or its study is kept under another patient already; what is kept stands."""

    status = CANNOT_UNDERSTAND
    reason = Refused.CONFLICT


def delivered(status: int) -> bool:
    """Tell whether a peer that answered ``status`` has kept the object: success or a warning."""
    return code_to_category(status) in {STATUS_SUCCESS, STATUS_WARNING}


def worth_another_try(status: int) -> bool:
    """Tell whether the same object may be kept later: the peer lacked resources or failed in processing."""
    return lacks_resources(status) or status == PROCESSING_FAILURE


def lacks_resources(status: int) -> bool:
    """Tell whether the peer had no room for an object, whatever the object is like."""
    return status & 0xFF00 == OUT_OF_RESOURCES


def final(status: int) -> bool:
    """Tell whether ``status`` will not change by asking again: nobody may store there, or not this class."""
    return status in {SOP_CLASS_NOT_SUPPORTED, NOT_AUTHORIZED}


def in_words(status: int) -> str:
    """Write ``status`` as a number and, where the standard has given it a meaning, in words.

    Failure Reasons of Storage Commitment (PS3.3 C.14.1.1) have the same numbers and meanings.
    """
    _, words = _MISSING.get(status) or STORAGE_SERVICE_CLASS_STATUS.get(status) or ("", "")
    words = words.removeprefix("Refused: ")
    if status != SUCCESS and delivered(status):
        words = f"kept: {words}" if words else "kept with a warning"
    return f"0x{status:04X} ({words})" if words else f"0x{status:04X}"


_MISSING: Final[Mapping[int, tuple[str, str]]] = MappingProxyType(
    {
        0x0001: (STATUS_WARNING, "Requested Optional Attributes Are Not Supported"),
        DUPLICATE_TRANSACTION: (STATUS_FAILURE, "Duplicate Transaction UID"),
    }
)
"""What pynetdicom 3.0.4 has no words for (PS3.7 annex C.4.3, PS3.3 C.14.1.1)."""
