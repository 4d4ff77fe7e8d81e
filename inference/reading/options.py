"""The choices that a site has about what it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingOptions:
    """How headers are understood where they leave a choice."""

    burned_in: Literal["refuse", "analyse"] = "refuse"
    """What becomes of captures with marks in their pixels."""
    character_set: str = ""
    """Python's name of the encoding of texts whose header declares none, or a wrong one; "" knows none."""


DEFAULT: Final = ReadingOptions()
"""What a site gets that has chosen nothing."""
