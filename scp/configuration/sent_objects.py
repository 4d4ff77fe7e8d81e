"""Which results a peer is sent: the words of ``[[peers]] objects``, and the kinds of objects behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

Word: TypeAlias = Literal["report", "heatmaps", "summary", "notice", "cad_sr", "gsps"]
"""One kind of result, as the configuration names it."""

KIND_OF: Final[Mapping[Word, str]] = MappingProxyType(
    {
        "report": "SR",
        "heatmaps": "SC",
        "summary": "SUMMARY",
        "notice": "NOTICE",
        "cad_sr": "CAD-SR",
        "gsps": "GSPS",
    }
)
"""The names of `inference.results.kinds`, which brings pydicom and is not imported here."""

USUAL: Final[tuple[Word, ...]] = ("report", "heatmaps", "summary", "notice")
"""What every viewer shows."""

CONTOURS: Final[frozenset[Word]] = frozenset({"report", "cad_sr", "gsps"})
"""Each of them draws the same regions on the original image."""


def check(chosen: Sequence[Word], *, contours_twice: bool) -> None:
    """Raise ValueError where ``chosen`` is no choice, or draws the same contours twice unasked."""
    if not chosen:
        raise ValueError('at least one is allowed; a peer that is sent nothing is nobody\'s "results_to"')
    if len(set(chosen)) < len(chosen):
        raise ValueError("each object is allowed once")
    drawn = [word for word in chosen if word in CONTOURS]
    if len(drawn) > 1 and not contours_twice:
        raise ValueError(
            f"{' and '.join(map(repr, drawn))} draw the same regions: a viewer that shows both draws "
            "each twice. Leave all but one out, or set contours_twice = true"
        )
