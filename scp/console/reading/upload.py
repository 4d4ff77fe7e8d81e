"""One upload: the files that a visitor has sent at once, and what is known of each by now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from inference.decision import FlagRule, Thresholds
from inference.findings import Finding
from inference.reading.mammogram import SourceImage
from scp.operating import analyze_study
from scp.operating.analyze_files import PICTURE_SUFFIXES
from scp.operating.analyze_study import ReadFile, ReadStudy


class Step(StrEnum):
    """Where an uploaded file stands."""

    WAITING = "waiting"
    ANALYSING = "analysing"
    ENDED = "ended"


@dataclass(kw_only=True, slots=True, eq=False)
class UploadedFile:
    """One file of an upload."""

    number: int
    """Its place in the upload, from 0."""
    name: str
    """As its owner calls it: shown, never used as a name here."""
    path: Path
    preview: Path
    layers: Path
    source: SourceImage | None = None
    """The header of a DICOM file that could be read."""
    step: Step = Step.WAITING
    finding: Finding | None = None
    seconds: float = 0.0


@dataclass(kw_only=True, slots=True, eq=False)
class Upload:
    """What one visitor has sent at once."""

    key: str
    owner: str
    """Secret of the visitor: nobody else gets it to see."""
    folder: Path
    files: list[UploadedFile]
    touched: float
    """Last sign of life of the visitor, by the monotonic clock."""
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Whether every file has been read, or will not be."""
        return all(file.step is Step.ENDED for file in self.files)

    def studies(self, rule: FlagRule, thresholds: Callable[[str], Thresholds]) -> list[ReadStudy]:
        """Return what is known by now, files of one study read together, as ``analyze`` does.

        ``thresholds`` gives those of a study by its Study Instance UID, "" of a picture. Raises StorageError.
        """
        groups: dict[str, list[ReadFile]] = {}
        for file in self.files:
            if file.finding is None:
                continue
            groups.setdefault(_study(file.source) or f"file {file.number}", []).append(
                ReadFile(
                    path=Path(f"{file.number} {file.name}"),
                    source=file.source,
                    finding=file.finding,
                    layers=None,
                    seconds=file.seconds,
                )
            )
        return [
            analyze_study.decided(group, rule, thresholds(_study(group[0].source)))
            for group in groups.values()
        ]


def file_name(number: int, name: str) -> str:
    """Return how the file that its owner calls ``name`` is called here: with a known ending, or none."""
    suffix = Path(name).suffix.lower()
    return f"{number}.file{suffix if suffix in PICTURE_SUFFIXES else ''}"


def _study(source: SourceImage | None) -> str:
    """Return the Study Instance UID, "" of a picture."""
    return "" if source is None else source.study_instance_uid
