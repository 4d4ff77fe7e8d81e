"""Out-of-fold predictions as a table: what each network said about the patients that it was not trained on.

The table is committed beside the weights, so that every figure of the card can be computed again. It names no
file and no person: pseudonyms of the published sources only.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.findings import CLASSES
from models.training.sources.labels import Example

FILE_NAME: Final = "out_of_fold.csv"
"""Name of the table in the folder of a run or a model."""

_HEAD: Final = ("source", "device", "patient", "laterality", "view", "label", "fold")
_LOGITS: Final = tuple(f"logit_{key.value.lower()}" for key in CLASSES)
_DIGITS: Final = 4


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Predictions:
    """One row per image, all of the same length."""

    examples: tuple[Example, ...]
    folds: NDArray[np.int64]
    logits: NDArray[np.float64]
    """Before calibration: (n, classes)."""

    @property
    def targets(self) -> NDArray[np.float64]:
        """1 for each class that the label leaves open: (n, classes)."""
        return np.array([example.target for example in self.examples])

    @property
    def sources(self) -> NDArray[np.str_]:
        """Source of each row."""
        return np.array([example.source for example in self.examples])

    @property
    def patients(self) -> list[str]:
        """Source and pseudonym of each row."""
        return ["/".join(example.person) for example in self.examples]

    def subset(self, rows: NDArray[np.bool_]) -> Predictions:
        """Keep some rows."""
        examples = [example for example, keep in zip(self.examples, rows, strict=True) if keep]
        return Predictions(examples=tuple(examples), folds=self.folds[rows], logits=self.logits[rows])


def write(predictions: Predictions, path: Path) -> NDArray[np.int64]:
    """Write the table, logits with four decimals, rows sorted; return each written row's number before."""
    rows = [
        (
            *(str(getattr(example, name)) for name in _HEAD[:-1]),
            str(fold),
            *(f"{x:.{_DIGITS}f}" for x in logits),
        )
        for example, fold, logits in zip(
            predictions.examples, predictions.folds, predictions.logits, strict=True
        )
    ]
    order = sorted(range(len(rows)), key=rows.__getitem__)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(_HEAD + _LOGITS)
        table.writerows(rows[number] for number in order)
    return np.array(order)


def read(path: Path) -> Predictions:
    """Read what `write` wrote."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return Predictions(
        examples=tuple(_example(row) for row in rows),
        folds=np.array([int(row["fold"]) for row in rows]),
        logits=np.array([[float(row[name]) for name in _LOGITS] for row in rows]),
    )


def collect(
    examples: Sequence[Example],
    folds: Sequence[int],
    logits: Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]],
) -> Predictions:
    """Join what the networks of the single folds said: for each its example numbers and their logits."""
    numbers = np.concatenate([part[0] for part in logits])
    return Predictions(
        examples=tuple(examples[number] for number in numbers),
        folds=np.array([folds[number] for number in numbers]),
        logits=np.concatenate([part[1] for part in logits]),
    )


def _example(row: dict[str, str]) -> Example:
    return Example(
        file="",
        source=row["source"],
        device=row["device"],
        patient=row["patient"],
        laterality=row["laterality"],
        view=row["view"],
        label=row["label"],
    )
