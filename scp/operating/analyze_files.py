"""The files of ``analyze``: the images to read, and what ``--output`` writes.

Read are the files named, and those in named folders that look like images. Written are an overlay PNG for
each image and the DICOM results of each study.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference.errors import Failed
from inference.examination import Examination
from inference.findings import ModelIdentity
from inference.options import OutputOptions
from inference.reading import mammogram, objections
from inference.reading.mammogram import SourceImage
from inference.reading.options import ReadingOptions
from inference.results.identity import Device
from inference.results.study_results import study_objects
from scp.errors import CommandError

PICTURE_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg"})
SUFFIXES: Final = frozenset({".dcm", ".dicom"}) | PICTURE_SUFFIXES
PREAMBLE: Final = 128
"""Bytes before the prefix (PS3.10 7.1)."""
PREFIX: Final = b"DICM"
PICTURES: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
"""How PNG and JPEG files begin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """The files to read, and what was named or lies in a named folder and is not read."""

    files: tuple[Path, ...]
    skipped: Mapping[Path, str]
    """Why each of them cannot be read."""
    unread: tuple[Path, ...]
    """Files in the folders that do not look like images."""


def expand(named: Iterable[Path]) -> Selection:
    """Return the files to read, folders expanded, each file once, in the order in which they were named."""
    files: dict[Path, None] = {}
    skipped: dict[Path, str] = {}
    unread: list[Path] = []
    for path in named:
        for file in _inside(path, skipped) if path.is_dir() else (path,):
            try:
                if (obstacle := _obstacle(file)) is not None:
                    skipped[file] = obstacle
                elif file == path or _looks_like_an_image(file):
                    files[file] = None
                else:
                    unread.append(file)
            except OSError as error:
                skipped[file] = f"it cannot be read ({error.strerror or error})"
    return Selection(files=tuple(files), skipped=skipped, unread=tuple(unread))


def is_picture(path: Path) -> bool:
    """Whether ``path`` begins as a PNG or JPEG does, or is called one; all else is DICOM. Raises OSError."""
    return _is_picture(path, _head(path))


def header(path: Path, options: ReadingOptions) -> SourceImage | None:
    """Read the header of the DICOM file at ``path``; None of a picture.

    Raises
    ------
    Failed
        The file is neither, empty, or its header is damaged.
    OSError
        The file is not to be had now.
    """
    head = _head(path)
    if not head:
        raise Failed("the file is empty")
    if _is_picture(path, head):
        return None
    if head[PREAMBLE:] != PREFIX:
        raise Failed("this is no DICOM, PNG or JPEG file")
    return mammogram.read(path, options)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(PREAMBLE + len(PREFIX))


def _is_picture(path: Path, head: bytes) -> bool:
    called_picture = path.suffix.lower() in PICTURE_SUFFIXES and head[PREAMBLE:] != PREFIX
    return head.startswith(PICTURES) or called_picture


def _obstacle(path: Path) -> str | None:
    """Return why ``path`` is nothing to open: who opens a FIFO waits for ever. Raises OSError."""
    if path.is_symlink() and not path.exists():
        return "a link that leads nowhere"
    if not path.exists():
        return None  # the analysis says so
    if not stat.S_ISREG(path.stat().st_mode):
        return "no file, but a FIFO, a socket or a device"
    with path.open("rb"):
        return None


def _inside(folder: Path, skipped: dict[Path, str]) -> Iterator[Path]:
    """Yield what lies in ``folder`` and the folders in it, hidden things apart."""

    def note(error: OSError) -> None:
        skipped[Path(error.filename)] = f"the folder cannot be read ({error.strerror})"

    files: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=note):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(parent, name) for name in names if not name.startswith(".") and name != "DICOMDIR"]
    yield from sorted(files)


def _looks_like_an_image(path: Path) -> bool:
    if path.suffix.lower() in SUFFIXES:
        return True
    if path.suffix and not path.suffix[1:].isdecimal():  # a file named by a UID ends in digits
        return False
    return _head(path)[PREAMBLE:] == PREFIX


class OutputFolder:
    """The folder of one run. Files of an earlier run with the same names are replaced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.overlays = 0
        self.objects = 0
        self._names: set[str] = set()
        with _writing(path):
            path.mkdir(parents=True, exist_ok=True)

    def keep_overlay(self, picture: NDArray[np.uint8], source: Path) -> None:
        """Write the overlay of ``source``; two sources of one name get two files."""
        number, name = 1, f"{source.stem}-heatmap.png"
        while name in self._names:
            number += 1
            name = f"{source.stem}-{number}-heatmap.png"
        self._names.add(name)
        with _writing(self.path):
            Image.fromarray(picture).save(self.path / name)
        self.overlays += 1

    def keep_results(
        self,
        examination: Examination,
        *,
        made_at: datetime,
        device: Device,
        identity: ModelIdentity,
        options: OutputOptions,
    ) -> None:
        """Build and write the objects that the node would send back for one study."""
        objects = study_objects(
            examination,
            made_at=made_at,
            began=made_at,
            device=device,
            identity=identity,
            options=options,
            predecessor=None,
        )
        with _writing(self.path):
            for study_object in objects:
                result = study_object.dataset
                name = f"{result.Modality}-{result.SOPInstanceUID}.dcm"
                result.save_as(self.path / name, enforce_file_format=True)
        self.objects += len(objects)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CommandError(
            f"{folder} cannot be written to ({error.strerror}): make room or name another --output"
        ) from error


def reportable(image: SourceImage) -> bool:
    """Whether results can refer to ``image``: a mammogram that says which instance of which study it is."""
    named = image.sop_instance_uid and image.series_instance_uid and image.study_instance_uid
    return bool(named) and objections.is_mammogram(image.header)
