"""What the ``check`` command says of one thing that it looked at, and how it is printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from scp import terminal

_IN_SHORT: Final[Mapping[str, str]] = {
    ExplicitVRLittleEndian: "Explicit",
    ImplicitVRLittleEndian: "Implicit",
    JPEGLSLossless: "JPEG-LS",
    JPEG2000Lossless: "JPEG 2000",
    RLELossless: "RLE",
}
"""Transfer syntaxes that are offered to peers, in the order of the table's columns."""


class Outcome(StrEnum):
    """How a check ended."""

    OK = "ok"
    NOTE = "note"
    """Works, and one should know."""
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that was looked at."""

    subject: str
    outcome: Outcome
    words: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer(Check):
    """A SOP class that a peer was asked for, in every transfer syntax in which it may be sent."""

    peer: str
    sop_class: str
    accepted: Mapping[str, bool]
    """By the UID of each transfer syntax that was offered."""
    at_peer: str = ""
    """What to change at the peer, where anything is to be changed."""
    in_configuration: str = ""
    """What to change in the configuration instead."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Registration(Check):
    """What a peer must know of this node."""

    peer: str
    lines: Sequence[str]
    """To be copied: they are printed as they are, however wide the terminal is."""


def ok(subject: str, words: str) -> Check:
    """Return that all is well."""
    return Check(subject=subject, outcome=Outcome.OK, words=words)


def note(subject: str, words: str) -> Check:
    """Return what works, and one should know."""
    return Check(subject=subject, outcome=Outcome.NOTE, words=words)


def failed(subject: str, words: str) -> Check:
    """Return what does not work, and what to do."""
    return Check(subject=subject, outcome=Outcome.FAILED, words=words)


def show(checks: Sequence[Check]) -> None:
    """Print ``checks``; behind them, for each peer, what it takes, what to change, and what to register."""
    console = terminal.out()
    plain = [check for check in checks if not isinstance(check, Offer | Registration)]
    rows = ((check.subject, check.outcome.value.upper(), check.words) for check in plain)
    console.print(terminal.table("Check", ["what", "", "result"], rows))
    offers = [check for check in checks if isinstance(check, Offer)]
    for peer in dict.fromkeys(offer.peer for offer in offers):
        for table in peer_tables(peer, [offer for offer in offers if offer.peer == peer]):
            console.print(table)
    for check in checks:
        if isinstance(check, Registration):
            console.print(f"To register at {check.peer}:", style="bold")
            console.print("\n".join(f"    {line}" for line in check.lines), soft_wrap=True)


def peer_tables(peer: str, offers: Sequence[Offer]) -> list[terminal.Listing]:
    """Return what ``peer`` takes in which transfer syntax, and what to change where it does not take it."""
    offered = [syntax for syntax in _IN_SHORT if any(syntax in offer.accepted for offer in offers)]
    answers = {True: "yes", False: "no", None: "-"}
    answered = terminal.table(
        f"What {peer} takes (Explicit, Implicit: VR Little Endian)",
        ["SOP class", "", *(_IN_SHORT[syntax] for syntax in offered)],
        (
            [
                _name(offer),
                offer.outcome.value.upper(),
                *(answers[offer.accepted.get(syntax)] for syntax in offered),
            ]
            for offer in offers
        ),
    )
    changes = [(_name(offer), offer.at_peer, offer.in_configuration) for offer in offers if offer.at_peer]
    headings = ["SOP class", f"at {peer}", "or in [[peers]] here"]
    return [answered, terminal.table("What to change", headings, changes)] if changes else [answered]


def _name(offer: Offer) -> str:
    return UID(offer.sop_class).name.removesuffix(" Storage")
