"""What the two ends of the pipe between node and worker say to each other."""

from __future__ import annotations

from typing import Final

WAKE: Final = b"wake"
STOP: Final = b"stop"
AWAKE: Final = b"awake"
READY: Final = b"ready"
BEGIN: Final = b"begin"
DONE: Final = b"done"
