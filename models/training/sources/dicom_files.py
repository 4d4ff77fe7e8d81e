"""DICOM files of a download, found by the names of the folders that they lie in, and what their headers say.

The descriptions of CBIS-DDSM name a file as case folder / study UID / series UID / 000000.dcm. What
downloaders write differs: ``1-1.dcm``, folders named by date and series description, or one folder per series
UID. One of the two names, case folder or series UID, always stands in the path.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import pydicom
from pydicom import Dataset
from pydicom.errors import InvalidDicomError

from inference.errors import Failed
from inference.reading import damage

_SUFFIX: Final = ".dcm"
_LEAST_PARTS: Final = 3
"""Case folder or study UID, series UID, file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DicomFiles:
    """The DICOM files below one folder."""

    by_folder: Mapping[str, tuple[str, ...]]
    """Under the name of each folder on their way: files, relative to the top, sorted."""

    def of_series(self, described: str) -> tuple[str, ...]:
        """Return the files of the series that the path ``described`` names by its UID."""
        parts = PurePosixPath(described).parts
        return self.by_folder.get(parts[-2], ()) if len(parts) >= _LEAST_PARTS else ()

    def of_case(self, described: str) -> tuple[str, ...]:
        """Return the files in the case folder that the path ``described`` begins with."""
        parts = PurePosixPath(described).parts
        return self.by_folder.get(parts[0], ()) if parts else ()


def index(top: Path) -> DicomFiles:
    """List the files below ``top`` that are named as DICOM files."""
    by_folder: dict[str, list[str]] = defaultdict(list)
    for path in top.rglob("*"):
        if path.suffix.lower() == _SUFFIX:
            below = path.relative_to(top)
            for folder in set(below.parts[:-1]):
                by_folder[folder].append(below.as_posix())
    return DicomFiles(by_folder={folder: tuple(sorted(files)) for folder, files in by_folder.items()})


def header(path: Path, *keywords: str) -> Dataset:
    """Read the attributes ``keywords`` of a DICOM file, without its pixels.

    Raises
    ------
    Failed
        The file is no DICOM file or damaged.
    OSError
        The machine cannot do it now.
    """
    with path.open("rb") as file, damage.translated(damage.HEADER):
        try:
            return pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(keywords))
        except InvalidDicomError:
            raise Failed("the file is not a DICOM file") from None
