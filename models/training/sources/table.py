"""What every source gives: rows, the files that say so, and what is to be told about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from models.training.file_digest import sha256
from models.training.sources.labels import Example


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """The labelled images of one data folder."""

    examples: tuple[Example, ...]
    files: tuple[str, ...]
    """The files that say what the labels are, as seen from the data folder."""
    remarks: tuple[str, ...] = ()
    """Sentences about what is not as published, or left out by an option."""


def file_digests(data: Path, files: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of each of ``files`` below ``data``, empty where it cannot be read any more."""
    digests = {}
    for name in files:
        try:
            digests[name] = sha256(data / name)
        except OSError:
            digests[name] = ""
    return digests
