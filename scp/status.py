"""DIMSE statuses by name, and which refusal carries which.

PS3.4 B.2.3 (Storage Service), PS3.7 9.1.1.1.9 and annex C. A refusal is always a *failure* status: a
warning (0xB000 to 0xB007) means "stored, but", and a sender may then delete its copy.
"""

from __future__ import annotations

from typing import Final

SUCCESS: Final = 0x0000
OUT_OF_RESOURCES: Final = 0xA700
DOES_NOT_MATCH_SOP_CLASS: Final = 0xA900
CANNOT_UNDERSTAND: Final = 0xC000
PROCESSING_FAILURE: Final = 0x0110
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


WARNINGS: Final = frozenset({0x0001, 0x0107, 0x0116, *range(0xB000, 0xC000)})
"""Statuses that mean "kept, but" (PS3.7 annex C.4)."""
