"""Wakes a thread that waits for work."""

from __future__ import annotations

import threading


class Bell:
    """Rung by many, heard by one. Rings that nobody has heard yet count as one."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def ring(self) -> None:
        """Wake the listener, now or at its next wait."""
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Wait for a ring at most ``seconds``; tell whether there was one."""
        rung = self._event.wait(seconds)
        self._event.clear()
        return rung
