"""Which network at which resolution is compared, and how that is written on the command line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from inference.network import catalogue, secondread

DEFAULT: Final = (
    "document-cnn",
    "document-cnn@244x244",
    "document-cnn@384x288",
    "resnet50",
    "densenet121",
    "efficientnet-lite0",
)
"""The document's network at the common resolution, at its own and at a higher one, and the others."""

_FORM: Final = re.compile(r"(?P<network>[^@]+)(@(?P<rows>[1-9]\d*)x(?P<columns>[1-9]\d*))?")


class ComparisonError(Exception):
    """Networks cannot be compared like this; the message says what to change."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One network at one resolution."""

    network: str
    rows: int
    columns: int

    @property
    def name(self) -> str:
        """What its folder is called."""
        return f"{self.network}-{self.rows}x{self.columns}"


def parse(text: str, *, rows: int, columns: int) -> Candidate:
    """Read ``NETWORK`` or ``NETWORK@ROWSxCOLUMNS``; the former is at the common resolution.

    Raises ComparisonError.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise ComparisonError(f"--network {text!r}; allowed: NETWORK or NETWORK@ROWSxCOLUMNS")
    if match["network"] not in catalogue.ARCHITECTURES:
        raise ComparisonError(
            f"network {match['network']!r} is not known; there is {', '.join(catalogue.ARCHITECTURES)}"
        )
    if match["network"].startswith(secondread.NAME):
        raise ComparisonError(
            f"{match['network']} has a recipe of its own and no single head; train it, and name its folder "
            "with --add"
        )
    return Candidate(
        network=match["network"],
        rows=int(match["rows"] or rows),
        columns=int(match["columns"] or columns),
    )
