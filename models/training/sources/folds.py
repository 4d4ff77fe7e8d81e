"""Which patient is in which fold: drawn once, kept in a committed file, never drawn again.

All images of a patient are in one fold, and each source (and within it each patient's most serious label)
is spread evenly over the folds. A patient that the file does not know gets a fold from a hash of the
pseudonym, so that further data can be added without moving anybody.
"""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from models.training.sources.labels import Example

FOLDS: Final = 5
COMMITTED: Final = Path(__file__).with_name("folds.csv")

Person: TypeAlias = tuple[str, str]
"""Source and patient."""

SEVERITY: Final = ("Malignant", "Benign", "Benign without callback", "Negative", "Normal")
"""Labels from the worst on: the first that a patient or a breast has stands for it."""


def draw(examples: Sequence[Example], *, seed: int) -> dict[Person, int]:
    """Deal the patients of each source and label group out to the folds, in an order that ``seed`` fixes."""
    labels: dict[Person, set[str]] = defaultdict(set)
    for example in examples:
        labels[example.person].add(example.label)
    groups: dict[tuple[str, int], list[Person]] = defaultdict(list)
    for person, of_patient in labels.items():
        groups[person[0], min(SEVERITY.index(label) for label in of_patient)].append(person)
    generator = np.random.default_rng(seed)
    folds: dict[Person, int] = {}
    dealt = 0
    for _, people in sorted(groups.items()):
        for number in generator.permutation(len(people)):
            folds[sorted(people)[number]] = dealt % FOLDS
            dealt += 1  # goes on from group to group, so that small groups do not all begin with fold 0
    return folds


def write(folds: Mapping[Person, int], path: Path) -> None:
    """Write one line per patient: source, patient, fold."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("source", "patient", "fold"))
        table.writerows((*person, fold) for person, fold in sorted(folds.items()))


def read(path: Path = COMMITTED) -> dict[Person, int]:
    """Read what `write` wrote."""
    with path.open(encoding="utf-8", newline="") as file:
        return {(row["source"], row["patient"]): int(row["fold"]) for row in csv.DictReader(file)}


def of(examples: Iterable[Example], drawn: Mapping[Person, int]) -> list[int]:
    """Look up the fold of each example's patient."""
    return [drawn.get(example.person, _hashed(example.person)) for example in examples]


def _hashed(person: Person) -> int:
    return hashlib.sha256("/".join(person).encode()).digest()[0] % FOLDS
