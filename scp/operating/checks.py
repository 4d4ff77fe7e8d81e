"""What the ``check`` command says of one thing that it looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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


def ok(subject: str, words: str) -> Check:
    """Return that all is well."""
    return Check(subject=subject, outcome=Outcome.OK, words=words)


def note(subject: str, words: str) -> Check:
    """Return what works, and one should know."""
    return Check(subject=subject, outcome=Outcome.NOTE, words=words)


def failed(subject: str, words: str) -> Check:
    """Return what does not work, and what to do."""
    return Check(subject=subject, outcome=Outcome.FAILED, words=words)
