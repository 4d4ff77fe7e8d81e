"""The comparison as Markdown, for people: one line per network, one column per source."""

from __future__ import annotations

from collections.abc import Sequence

from models.training.comparison.entry import Entry
from models.training.publishing import markdown


def render(entries: Sequence[Entry], *, fold: int, threads: int) -> str:
    """Write what each network cost, its figures per source, and why some start from random weights."""
    sources = list(dict.fromkeys(source for entry in entries for source in entry.figures))
    return markdown.render(
        "comparison.md", entries=entries, sources=sources, fold=fold, threads=threads, unknown="not recorded"
    )
