"""What is judged: single images, or breasts as the node judges them from all their views.

A breast's label is that of its worst image. Its scores are the mean of its views as logarithms, repeats of a
view first, as in the node's report (`inference.decision`). Its class is the most probable one: the node calls
Malignant what it flags, wherever the threshold stands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from inference import decision
from inference.findings import CLASSES, ClassKey
from models.training.evaluation.measures import Flags, Floats, Integers
from models.training.sources.folds import SEVERITY
from models.training.sources.labels import Example

MALIGNANT: Final = CLASSES.index(ClassKey.MALIGNANT)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Judged:
    """One row per image or breast."""

    examples: tuple[Example, ...]
    """The image; of a breast its worst one."""
    targets: Floats
    """1 for each class that the label leaves open: (rows, classes)."""
    scores: Floats
    """(rows, classes)."""
    predicted: Integers
    """The most probable class."""
    confidence: Floats
    """Score of the predicted class."""
    views: Integers
    """Images that the row is made of."""

    @property
    def patients(self) -> list[str]:
        """Source and pseudonym of each row."""
        return ["/".join(example.person) for example in self.examples]

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
    return _judged(examples, scores, np.ones(len(scores), np.int64))


def breasts(examples: tuple[Example, ...], scores: Floats) -> Judged:
    """Judge every breast by all its views; rows in the order of (source, patient, laterality)."""
    views: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for number, example in enumerate(examples):
        views[*example.person, example.laterality].append(number)
    members = [numbers for _, numbers in sorted(views.items())]
    return _judged(
        tuple(min((examples[n] for n in numbers), key=_severity) for numbers in members),
        np.array([of_views(examples, scores, numbers) for numbers in members]),
        np.array([len(numbers) for numbers in members]),
    )


def of_views(examples: Sequence[Example], scores: Floats, numbers: Sequence[int]) -> decision.Scores:
    """Read the images ``numbers`` together, as the node reads the views of a breast."""
    views = []
    for number in numbers:
        normal, benign, without_callback, malignant = (float(score) for score in scores[number])
        views.append((examples[number].view, (normal, benign, without_callback, malignant)))
    return decision.breast_scores(views)


def _judged(examples: tuple[Example, ...], scores: Floats, views: Integers) -> Judged:
    return Judged(
        examples=examples,
        targets=np.array([example.target for example in examples]),
        scores=scores,
        predicted=scores.argmax(axis=1),
        confidence=scores.max(axis=1),
        views=views,
    )


def _severity(example: Example) -> int:
    return SEVERITY.index(example.label)
