"""The error of a command: a sentence for the person who called it, and the exit code that goes with it."""

from __future__ import annotations

from typing import Final

OK: Final = 0
FAILED: Final = 1
WRONG_USAGE: Final = 2


class CommandError(Exception):
    """A command cannot do what it was asked to; the message says why and what to do."""

    def __init__(self, sentence: str, *, code: int = FAILED) -> None:
        super().__init__(sentence)
        self.code = code
