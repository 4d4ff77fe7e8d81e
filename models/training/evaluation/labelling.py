"""What the most probable class says: everything that follows from the confusion of labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from models.training.evaluation.bootstrap import Figures, share
from models.training.evaluation.measures import Floats, Integers

WHOLE: Final = ("accuracy", "balanced_accuracy", "macro_f1")
BY_CLASS: Final = ("precision", "recall", "f1")


def figures(truth: Integers, predicted: Integers, classes: int) -> Figures:
    """Make `WHOLE`, then `BY_CLASS` for each class that is in ``truth``, in the order of the classes.

    Balanced accuracy and macro F1 are means over the classes in ``truth``; a draw that lacks one of them has
    neither. Precision is not defined where a class is never predicted; F1 is zero where it is never right.
    """
    cells = np.eye(classes * classes)[truth * classes + predicted]
    kinds = np.unique(truth)

    def weighted(weights: Floats) -> Floats:
        table = (weights @ cells).reshape(-1, classes, classes)
        return np.concatenate([_whole(table, kinds), _by_class(table, kinds)], axis=1)

    return weighted


def names(kinds: Sequence[int]) -> list[tuple[int, str]]:
    """List class number and figure in the order in which `figures` gives the classes' figures."""
    return [(kind, name) for kind in kinds for name in BY_CLASS]


def _whole(table: Floats, kinds: Integers) -> Floats:
    _, recall, f1 = _parts(table, kinds)
    right = table.trace(axis1=1, axis2=2)
    return np.stack([share(right, table.sum(axis=(1, 2))), recall.mean(axis=1), f1.mean(axis=1)], axis=1)


def _by_class(table: Floats, kinds: Integers) -> Floats:
    return np.stack(_parts(table, kinds), axis=2).reshape(len(table), -1)


def _parts(table: Floats, kinds: Integers) -> tuple[Floats, Floats, Floats]:
    """Compute precision, recall and F1: each (draws, classes), NaN for a class that a draw lacks."""
    right = table[:, kinds, kinds]
    predicted, true = table[:, :, kinds].sum(axis=1), table[:, kinds].sum(axis=2)
    f1 = np.where(true > 0, share(2 * right, predicted + true), np.nan)
    return share(right, predicted), share(right, true), f1
