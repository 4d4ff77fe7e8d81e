"""The training table: one labelled mammogram per row, as frozen values and as a CSV file.

Partial labels are sets: a mini-MIAS "Benign" says nothing about callback, an RSNA "Negative" nothing about
what was seen. The loss adds up the probabilities of the classes in the set.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from inference.findings import CLASSES, ClassKey

FILE_NAME: Final = "labels.csv"

_NEEDED: Final = ("file", "source", "device", "patient", "laterality", "view", "label")
_LESIONS: Final = "lesions"
_SPLIT: Final = "split"
_BY_LABEL: Final = {key.label: frozenset({key}) for key in CLASSES} | {
    "Negative": frozenset({ClassKey.NORMAL, ClassKey.BENIGN_WITHOUT_CALLBACK})
}
_BENIGN_OR_NOT_CALLED_BACK: Final = frozenset({ClassKey.BENIGN, ClassKey.BENIGN_WITHOUT_CALLBACK})


Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right and bottom of a lesion in pixels of the image."""
Target: TypeAlias = tuple[float, float, float, float]
"""1 for each class that a label leaves open, else 0, in the order of `CLASSES`."""


class LabelsError(Exception):
    """The table of labels cannot be used; the message names the file, the line and what is allowed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One row of the table."""

    file: str
    """Path of the image below the data folder."""
    source: str
    device: str
    patient: str
    """Pseudonym, unique within its source."""
    laterality: str
    view: str
    label: str
    """As written in the table, for example ``Negative``."""
    lesions: tuple[Box, ...] = ()
    """Where the lesions are, for sources that say so."""
    split: str = ""
    """``train`` or ``test`` where the publisher has divided the data set, else empty."""
    masks: tuple[tuple[str, ...], ...] = ()
    """For each further lesion the files of which one is its mask; see `sources.pictures`."""

    @property
    def person(self) -> tuple[str, str]:
        """What is never split: source and patient."""
        return self.source, self.patient

    @property
    def scanner(self) -> tuple[str, str]:
        """Source and device: what a network must not take its answer from."""
        return self.source, self.device

    @property
    def classes(self) -> frozenset[ClassKey]:
        """The classes that the label leaves open; one for most images."""
        return _classes(self.source, self.label)

    @property
    def target(self) -> Target:
        """1 for each class in `classes`, in the order of the network's output."""
        return _target(self.classes)


@functools.cache
def _classes(source: str, label: str) -> frozenset[ClassKey]:
    if source == "mini-mias" and label == ClassKey.BENIGN.label:
        return _BENIGN_OR_NOT_CALLED_BACK
    return _BY_LABEL[label]


@functools.cache
def _target(classes: frozenset[ClassKey]) -> Target:
    normal, benign, without_callback, malignant = (float(key in classes) for key in CLASSES)
    return normal, benign, without_callback, malignant


def read(path: Path) -> list[Example]:
    """Read the table in the CSV file ``path``. Raises LabelsError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # spreadsheets write a byte order mark
            table = csv.DictReader(file)
            _check_columns(path, table.fieldnames or ())
            return [_example(path, number, row) for number, row in enumerate(table, start=2)]
    except OSError as error:
        raise LabelsError(
            f"{path} cannot be read ({error.strerror}); --data names the folder with it"
        ) from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise LabelsError(f"{path} is no CSV file in UTF-8 ({error})") from error


def write(examples: Iterable[Example], path: Path) -> None:
    """Write ``examples`` so that `read` gives them back, but for masks."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow((*_NEEDED, _LESIONS, _SPLIT))
        for example in examples:
            boxes = ";".join(",".join(f"{edge:.9g}" for edge in box) for box in example.lesions)
            table.writerow((*(getattr(example, name) for name in _NEEDED), boxes, example.split))


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    if missing := [name for name in _NEEDED if name not in columns]:
        raise LabelsError(f"{path} lacks the columns {', '.join(missing)}")


def _example(path: Path, number: int, row: dict[str, str]) -> Example:
    label = row["label"]
    if label not in _BY_LABEL:
        raise LabelsError(f"{path}, line {number}: label {label!r}; allowed: {', '.join(_BY_LABEL)}")
    if not row["patient"] or not row["source"]:
        raise LabelsError(f"{path}, line {number}: source and patient must be given, splits are made by them")
    try:
        lesions = tuple(_box(text) for text in (row.get(_LESIONS) or "").split(";") if text)
    except ValueError as error:
        raise LabelsError(
            f"{path}, line {number}: lesions {row[_LESIONS]!r}; allowed: x0,y0,x1,y1;…"
        ) from error
    return Example(
        file=row["file"],
        source=row["source"],
        device=row["device"] or "",
        patient=row["patient"],
        laterality=row["laterality"] or "",
        view=row["view"] or "",
        label=label,
        lesions=lesions,
        split=row.get(_SPLIT) or "",
    )


def _box(text: str) -> Box:
    left, top, right, bottom = (float(number) for number in text.split(","))
    return left, top, right, bottom
