"""Which files ``analyze`` reads: those named, and those in named folders that look like images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

SUFFIXES: Final = frozenset({".dcm", ".dicom", ".png", ".jpg", ".jpeg"})
PREAMBLE: Final = 128
"""Bytes before the prefix DICM (PS3.10 7.1)."""
PICTURES: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
"""How PNG and JPEG files begin."""


def expand(named: Iterable[Path]) -> list[Path]:
    """Return the files to read, folders expanded, each file once, in the order in which they were named."""
    files = (file for path in named for file in (_images(path) if path.is_dir() else (path,)))
    return list(dict.fromkeys(files))


def is_picture(path: Path) -> bool:
    """Whether ``path`` begins as a PNG or JPEG does; all else is read as DICOM. Raises OSError."""
    with path.open("rb") as file:
        return file.read(8).startswith(PICTURES)


def _images(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden and path.name != "DICOMDIR" and _looks_like_an_image(path):
            yield path


def _looks_like_an_image(path: Path) -> bool:
    if path.suffix.lower() in SUFFIXES:
        return True
    if path.suffix and not path.suffix[1:].isdecimal():  # a file named by a UID ends in digits
        return False
    with path.open("rb") as file:
        return file.read(PREAMBLE + 4)[PREAMBLE:] == b"DICM"
