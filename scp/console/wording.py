"""What pages say of states and classes, in plain words. Sentences of results stand in `inference.wording`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from inference.decision import Decision
from inference.findings import ClassKey
from storage.overview.studies import StudyState
from storage.states import CommitmentState, DeliveryState

NOT_EXCLUDED: Final = "This does not exclude cancer."
NO_HEATMAP: Final = "no region is shown in this image, so there is no heatmap of it"
PLAIN: Final[Mapping[ClassKey, str]] = MappingProxyType(
    {
        ClassKey.NORMAL: f"Nothing suspicious was seen. {NOT_EXCLUDED}",
        ClassKey.BENIGN: (
            "Something was seen that resembles findings which were looked at again (a recall, often a "
            "biopsy) and turned out to be harmless."
        ),
        ClassKey.BENIGN_WITHOUT_CALLBACK: (
            "Something was seen that resembles findings which radiologists call harmless at first sight, "
            "such as a lymph node. Nobody was called back for them, so it was never proven."
        ),
        ClassKey.MALIGNANT: (
            "Something was seen that resembles cancers. It is a reason to look closely, and no diagnosis."
        ),
    }
)
"""The four classes for somebody who does not know the labels of the training images."""

STATES: Final[Mapping[StudyState, str]] = MappingProxyType(
    {
        StudyState.RECEIVED: "received",
        StudyState.ANALYSING: "being analysed",
        StudyState.WAITING: "analysed",
        StudyState.REPORTED: "reported",
        StudyState.DELIVERED: "delivered",
        StudyState.PARKED: "needs a person",
    }
)
TONES: Final[Mapping[StudyState, str]] = MappingProxyType(
    {
        StudyState.RECEIVED: "calm",
        StudyState.ANALYSING: "busy",
        StudyState.WAITING: "busy",
        StudyState.REPORTED: "busy",
        StudyState.DELIVERED: "good",
        StudyState.PARKED: "bad",
    }
)
"""How each state is coloured; the word says the same."""

DELIVERIES: Final[Mapping[DeliveryState, str]] = MappingProxyType(
    {
        DeliveryState.OWED: "owed",
        DeliveryState.SENT: "sent",
        DeliveryState.PARKED: "needs a person",
        DeliveryState.WITHDRAWN: "withdrawn: something newer took its place",
    }
)
COMMITMENTS: Final[Mapping[CommitmentState, str]] = MappingProxyType(
    {
        CommitmentState.DUE: "to be asked",
        CommitmentState.ASKED: "asked, no answer yet",
        CommitmentState.COMMITTED: "committed",
        CommitmentState.FAILED: "not kept",
        CommitmentState.PARKED: "refuses to be asked",
        CommitmentState.WAIVED: "nobody asks",
    }
)
SIDES: Final[Mapping[str | None, str]] = MappingProxyType(
    {"R": "right", "L": "left", "B": "both in one image"}
)


def plainly(decision: Decision) -> str:
    """Return what a breast's label means; where it is not flagged also, once, what that does not mean."""
    words = PLAIN[decision.label]
    return words if decision.flagged or NOT_EXCLUDED in words else f"{words} {NOT_EXCLUDED}"


def flagged_breasts(flags: Mapping[str | None, bool]) -> str:
    """Return which breasts are flagged, by laterality, for a narrow column; "" if none is."""
    sides = [SIDES.get(laterality, "side unknown") for laterality, flagged in flags.items() if flagged]
    return " and ".join(sides)


def ago(at: datetime, now: datetime) -> str:
    """Return how long ago ``at`` was, or in how long it will be, in one unit."""
    seconds = (now - at).total_seconds()
    words = duration(abs(seconds))
    return f"in {words}" if seconds < 0 else f"{words} ago"


def duration(seconds: float) -> str:
    """Return a length of time in one unit, for example ``4 minutes``."""
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        number = int(seconds // length)
        if number >= 1:
            return f"{number} {unit}{'' if number == 1 else 's'}"
    number = int(seconds)
    return f"{number} second{'' if number == 1 else 's'}"


def share(score: float) -> str:
    """Return a score of 0 to 1 with two decimals, for example ``84.31 %``."""
    return f"{100 * score:.2f} %"
