"""The messages between the process that listens and one that it hands callers to, both ways over one pipe."""

from __future__ import annotations

from typing import Final

CALLER: Final = b"caller "
"""To the process: number of the caller and its request follow, then its connection."""
SETTINGS: Final = b"settings "
"""To the process: the configuration has changed; it follows, in JSON."""
STOP: Final = b"stop"
"""To the process: let associations under way end."""
READY: Final = b"ready"
"""From the process: it takes callers."""
RECEIPT: Final = b"receipt "
"""From the process: it has the connection of the caller whose number follows."""
ENDED: Final = b"ended "
"""From the process: the association of the caller whose number follows has ended."""
ARRIVED: Final = b"arrived"
"""From the process: something new is kept, there is work."""
CUT_OFF: Final = b"cut off"
"""From the process: an association went on at the end of the time to stop, and was aborted."""

_DIGITS: Final = 12


def numbered(kind: bytes, number: int, content: bytes = b"") -> bytes:
    """Return the message of ``kind`` about the caller ``number``."""
    return kind + b"%0*d" % (_DIGITS, number) + content


def parts(message: bytes, kind: bytes) -> tuple[int, bytes]:
    """Return number and content of a message of ``kind`` that `numbered` has made."""
    content = message.removeprefix(kind)
    return int(content[:_DIGITS]), content[_DIGITS:]
