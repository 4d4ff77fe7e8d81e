"""The table of reasons why something is not taken: an object, an association, a connection, a request.

Each reason is counted (`storage.refusals`) and is a label of a metric: there are few, and nobody who calls
chooses one.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Subject(StrEnum):
    """What is not taken."""

    OBJECT = "object"
    ASSOCIATION = "association"
    """Or a request by STOW-RS, which counts as one."""
    CONNECTION = "connection"
    """One that came to no association."""
    REQUEST = "request"
    """One of STOW-RS, as a whole."""


class Refused(StrEnum):
    """Why it is not taken; 16 characters at most."""

    DROPPED = "DROPPED"
    FOREIGN = "FOREIGN"
    CONFLICT = "CONFLICT"
    INCOMPLETE = "INCOMPLETE"
    UNREADABLE = "UNREADABLE"
    NO_ROOM = "NO_ROOM"
    FAULT = "FAULT"
    UNNAMED = "UNNAMED"
    OTHER_SYNTAX = "OTHER_SYNTAX"
    OTHER_STUDY = "OTHER_STUDY"
    CALLING_TITLE = "CALLING_TITLE"
    CALLED_TITLE = "CALLED_TITLE"
    OWN_TITLE = "OWN_TITLE"
    ADDRESS = "ADDRESS"
    SECURITY = "SECURITY"
    LIMIT = "LIMIT"
    ADDRESS_LIMIT = "ADDRESS_LIMIT"
    UNDECIDED = "UNDECIDED"
    TLS = "TLS"
    WRONG_PORT = "WRONG_PORT"
    NO_REQUEST = "NO_REQUEST"
    SILENT = "SILENT"
    CROWD = "CROWD"
    NO_TOKEN = "NO_TOKEN"  # noqa: S105 - a reason, no secret
    NO_PARTS = "NO_PARTS"
    CUT_OFF = "CUT_OFF"
    TOO_LARGE = "TOO_LARGE"
    TOO_SLOW = "TOO_SLOW"
    UNWRITABLE = "UNWRITABLE"

    @property
    def subject(self) -> Subject:
        """What is not taken."""
        return _TABLE[self][0]

    @property
    def words(self) -> str:
        """Say it to a person: in the log, in ``status`` and on the console."""
        return _TABLE[self][1]


_TABLE: Final[Mapping[Refused, tuple[Subject, str]]] = MappingProxyType(
    {
        Refused.DROPPED: (Subject.OBJECT, "not for this node: answered with success, not kept"),
        Refused.FOREIGN: (Subject.OBJECT, "not for this node: refused, as [node] foreign says"),
        Refused.CONFLICT: (
            Subject.OBJECT,
            "refused: its UID is kept with other pixels or under another patient",
        ),
        Refused.INCOMPLETE: (
            Subject.OBJECT,
            "refused: a UID or the Patient ID is missing, or its UIDs contradict each other",
        ),
        Refused.UNREADABLE: (Subject.OBJECT, "refused: the bytes are no data set"),
        Refused.NO_ROOM: (
            Subject.OBJECT,
            "refused for now: disk reserve reached, no memory, or storage failed",
        ),
        Refused.FAULT: (Subject.OBJECT, "refused for a fault of the node, which its log holds"),
        Refused.UNNAMED: (Subject.OBJECT, "refused: the request names no SOP Instance UID"),
        Refused.OTHER_SYNTAX: (Subject.OBJECT, "refused: its transfer syntax is not read here"),
        Refused.OTHER_STUDY: (Subject.OBJECT, "refused: it is of another study than the request says"),
        Refused.CALLING_TITLE: (Subject.ASSOCIATION, "calling AE title not among the [[peers]]"),
        Refused.CALLED_TITLE: (Subject.ASSOCIATION, "called AE title is not this node's"),
        Refused.OWN_TITLE: (Subject.ASSOCIATION, "this node's own AE title, from another machine"),
        Refused.ADDRESS: (Subject.ASSOCIATION, "address not among those of the peer"),
        Refused.SECURITY: (Subject.ASSOCIATION, "no TLS, or another certificate than the peer's"),
        Refused.LIMIT: (Subject.ASSOCIATION, "[node] max_associations reached"),
        Refused.ADDRESS_LIMIT: (Subject.ASSOCIATION, "[node] max_associations_per_address reached"),
        Refused.UNDECIDED: (Subject.ASSOCIATION, "a fault of the node, which its log holds"),
        Refused.TLS: (Subject.CONNECTION, "TLS failed"),
        Refused.WRONG_PORT: (Subject.CONNECTION, "TLS at the port without it, or the reverse"),
        Refused.NO_REQUEST: (Subject.CONNECTION, "no association request, or an unreadable one"),
        Refused.SILENT: (Subject.CONNECTION, "no whole request in time"),
        Refused.CROWD: (Subject.CONNECTION, "too many callers that made no request"),
        Refused.NO_TOKEN: (Subject.REQUEST, "no token of a peer"),
        Refused.NO_PARTS: (Subject.REQUEST, "no body of DICOM files in parts"),
        Refused.CUT_OFF: (Subject.REQUEST, "ended in the middle of its body"),
        Refused.TOO_LARGE: (Subject.REQUEST, "more than [stow] request_mb, or too many parts"),
        Refused.TOO_SLOW: (Subject.REQUEST, "the body came too slowly"),
        Refused.UNWRITABLE: (Subject.REQUEST, "the data directory cannot be written"),
    }
)
