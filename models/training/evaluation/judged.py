"""What is judged: single images, or breasts as the node judges them from all their views.

A breast's label is that of its worst image. Its scores are the highest over the views, but for Normal the
lowest: a breast is as normal as its least normal view. Its class is that of the view with the highest
malignant score among the views not Normal, as in the node's report.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import numpy as np

from inference.findings import CLASSES, ClassKey
from models.training.evaluation.measures import Flags, Floats, Integers
from models.training.sources.folds import SEVERITY
from models.training.sources.labels import Example

NORMAL: Final = CLASSES.index(ClassKey.NORMAL)
MALIGNANT: Final = CLASSES.index(ClassKey.MALIGNANT)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Judged:
    """One row per image or breast."""

    examples: tuple[Example, ...]
    """The image; of a breast its worst one."""
    scores: Floats
    """(rows, classes); of a breast they do not add up to one."""
    predicted: Integers
    confidence: Floats
    """Score of the predicted class in the view that decided."""
    views: Integers
    """Images that the row is made of."""
    mean_malignant: Floats
    """Mean of the views' malignant scores: unlike the highest, it does not grow with their number."""

    @property
    def patients(self) -> list[str]:
        """Source and pseudonym of each row."""
        return ["/".join(example.person) for example in self.examples]

    @property
    def targets(self) -> Floats:
        """1 for each class that the label leaves open: (rows, classes)."""
        return np.array([example.target for example in self.examples])

    @property
    def certain(self) -> Flags:
        """Whether the label leaves one class only."""
        return np.asarray(self.targets.sum(axis=1) == 1)

    @property
    def malignant(self) -> Flags:
        """Whether the label is Malignant: certain for every label, partial ones included."""
        return np.asarray(self.targets[:, MALIGNANT] > 0)


def images(examples: tuple[Example, ...], scores: Floats) -> Judged:
    """Judge every image by itself."""
    return Judged(
        examples=examples,
        scores=scores,
        predicted=scores.argmax(axis=1),
        confidence=scores.max(axis=1),
        views=np.ones(len(scores), np.int64),
        mean_malignant=scores[:, MALIGNANT],
    )


def breasts(examples: tuple[Example, ...], scores: Floats) -> Judged:
    """Judge every breast by all its views; rows in the order of (source, patient, laterality)."""
    views: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for number, example in enumerate(examples):
        views[*example.person, example.laterality].append(number)
    members = [numbers for _, numbers in sorted(views.items())]
    highest = np.array([scores[numbers].max(axis=0) for numbers in members])
    highest[:, NORMAL] = [scores[numbers, NORMAL].min() for numbers in members]
    decisive = np.array([_decisive(numbers, scores) for numbers in members])
    return Judged(
        examples=tuple(min((examples[n] for n in numbers), key=_severity) for numbers in members),
        scores=highest,
        predicted=scores[decisive].argmax(axis=1),
        confidence=scores[decisive].max(axis=1),
        views=np.array([len(numbers) for numbers in members]),
        mean_malignant=np.array([scores[numbers, MALIGNANT].mean() for numbers in members]),
    )


def _decisive(views: list[int], scores: Floats) -> int:
    suspicious = [view for view in views if scores[view].argmax() != NORMAL]
    return max(suspicious or views, key=lambda view: float(scores[view, MALIGNANT]))


def _severity(example: Example) -> int:
    return SEVERITY.index(example.label)
