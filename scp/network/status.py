"""DIMSE statuses by name, and which refusal carries which.

PS3.4 B.2.3 (Storage Service), PS3.7 9.1.1.1.9 and annex C. A refusal is always a *failure* status: a
warning (0xB000 to 0xB007) means "stored, but", and a sender may then delete its copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

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

COMMENT_LENGTH: Final = 64
"""Error Comment (0000,0902) is an LO: 64 characters at most (PS3.5 6.2)."""


class Refusal(Exception):  # noqa: N818 - it is an answer to the peer, not a fault of ours
    """An instance that is not kept; knows its status. The message becomes the Error Comment."""

    status = PROCESSING_FAILURE


class OutOfResources(Refusal):
    """Nothing can be kept now; the peer should try again later."""

    status = OUT_OF_RESOURCES


class Foreign(Refusal):
    """The instance is not of a kind, or not in a shape, that this node keeps."""

    status = DOES_NOT_MATCH_SOP_CLASS


class Unreadable(Refusal):
    """The bytes are no data set in the agreed transfer syntax."""

    status = CANNOT_UNDERSTAND


class OtherPixels(Refusal):
    """The SOP Instance UID is already kept with other pixels; the first one stands."""

    status = CANNOT_UNDERSTAND


def delivered(status: int) -> bool:
    """Tell whether a peer that answered ``status`` has kept the object: success or a warning."""
    return status == SUCCESS or status in WARNINGS


def worth_another_try(status: int) -> bool:
    """Tell whether the same object may be kept later: the peer lacked resources or failed in processing."""
    return status & 0xFF00 == OUT_OF_RESOURCES or status == PROCESSING_FAILURE


def final(status: int) -> bool:
    """Tell whether ``status`` will not change by asking again: nobody may store there, or not this class."""
    return status in {SOP_CLASS_NOT_SUPPORTED, NOT_AUTHORIZED}


def in_words(status: int) -> str:
    """Write ``status`` as a number and, where the standard has given it a meaning, in words."""
    meaning = _MEANINGS.get(status) or _RANGES.get(status & 0xFF00) or _RANGES.get(status & 0xF000)
    return f"0x{status:04X} ({meaning})" if meaning else f"0x{status:04X}"


_MEANINGS: Final[Mapping[int, str]] = MappingProxyType(
    {
        0x0001: "kept, optional attributes are not supported",
        0x0105: "no such attribute",
        0x0106: "invalid attribute value",
        0x0107: "kept, but attributes are missing there",
        PROCESSING_FAILURE: "processing failure",
        0x0111: "duplicate SOP instance",
        0x0112: "no such SOP instance",
        NO_SUCH_EVENT_TYPE: "no such event type",
        NO_SUCH_ARGUMENT: "no such argument",
        INVALID_ARGUMENT: "invalid argument value",
        0x0116: "kept, but an attribute's value is out of range",
        0x0117: "invalid SOP instance",
        0x0118: "no such SOP class",
        0x0119: "class and instance conflict",
        0x0120: "missing attribute",
        0x0121: "missing attribute value",
        SOP_CLASS_NOT_SUPPORTED: "SOP class not supported",
        0x0123: "no such action",
        NOT_AUTHORIZED: "not authorized",
        0x0210: "duplicate invocation",
        0x0211: "unrecognized operation",
        0x0212: "mistyped argument",
        0x0213: "resource limitation",
        0xB000: "kept, elements were coerced",
        0xB006: "kept, elements were discarded",
        0xB007: "kept, though the data set does not match the SOP class",
        0xFE00: "cancelled",
    }
)
"""PS3.7 annex C; the warnings of PS3.4 table B.2-1."""
_RANGES: Final[Mapping[int, str]] = MappingProxyType(
    {
        OUT_OF_RESOURCES: "out of resources",
        DOES_NOT_MATCH_SOP_CLASS: "the data set does not match the SOP class",
        CANNOT_UNDERSTAND: "cannot understand",
        0xB000: "kept with a warning",
    }
)
"""PS3.4 table B.2-1: the first byte tells, or the first four bits."""

WARNINGS: Final = frozenset({0x0001, 0x0107, 0x0116, *range(0xB000, 0xC000)})
"""Statuses that mean "kept, but" (PS3.7 annex C.4)."""
