"""How long a message may take as a whole, whoever sends it: a time for silence, and one for its size.

A limit for silence alone lets whoever gives a byte now and then hold a connection for ever.
"""

from __future__ import annotations

from typing import Final

SLOWEST: Final = 8_000
"""Bytes a second that a line must carry. At 10 kB/s a heatmap of 10 MB is a quarter of an hour on its way."""


def seconds(silence: float, size: int) -> float:
    """Return the seconds in which ``size`` bytes must have come or gone where ``silence`` may be so long."""
    return silence + size / SLOWEST
