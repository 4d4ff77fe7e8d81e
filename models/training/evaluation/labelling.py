"""What the most probable class says: everything that follows from the confusion of labels.

The same is asked of scores that know the shares of the classes at a site. The network is trained to expect
all classes alike. Where that is not so, Bayes' rule moves its scores to the shares that there are (Saerens,
Latinne and Decaestecker 2002, eq. 4). The node does so where ``[model] shares`` tells it a site's shares. The
figures part what is missed for want of them from what the network cannot see.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from inference.findings import CLASSES
from models.training.evaluation import bootstrap, calibration, judged
from models.training.evaluation.bootstrap import Figures, share
from models.training.evaluation.figures import KnownShares
from models.training.evaluation.measures import Flags, Floats, Integers, stated
from models.training.evaluation.scored import Scored

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


def with_known_shares(part: Scored) -> KnownShares | None:
    """Compute the figures of one source's images; None where it has no certain label or one fold only.

    The shares are those of the source's certain labels in the other folds, one image added to each class.
    """
    folds = np.unique(part.predictions.folds)
    before = judged.images(part.predictions.examples, part.honest)
    if len(folds) == 1 or not before.certain.any():
        return None
    scores, for_malignant = np.empty_like(part.honest), np.empty_like(part.honest)
    for fold in folds:
        inside = part.predictions.folds == fold
        scores[inside] = moved(part.honest[inside], _shares(before.targets, before.certain & ~inside))
        for_malignant[inside] = moved(part.honest[inside], _malignant_share(before.malignant[~inside]))
    after = judged.images(part.predictions.examples, scores)
    rows = after.certain
    truth, predicted = after.targets[rows].argmax(axis=1), after.predicted[rows]
    patients = [name for name, keep in zip(after.patients, rows, strict=True) if keep]
    draws = bootstrap.draw(patients, resamples=part.resamples)
    labelled = draws.estimates(figures(truth, predicted, scores.shape[1]))
    error = draws.estimate(calibration.error(after.confidence[rows], predicted == truth))
    return KnownShares(
        accuracy=stated(labelled[0]),
        balanced_accuracy=stated(labelled[1]),
        label_calibration_error=stated(error),
        malignant_calibration_error=stated(
            bootstrap.draw(before.patients, resamples=part.resamples).estimate(
                calibration.error(for_malignant[:, judged.MALIGNANT], before.malignant)
            )
        ),
    )


def moved(scores: Floats, shares: Floats) -> Floats:
    """Move scores (images, classes) of a network that expects all classes alike to ``shares`` (classes,)."""
    weighted = scores * shares
    return np.asarray(weighted / weighted.sum(axis=1, keepdims=True))


def _malignant_share(malignant: Flags) -> Floats:
    """Return shares that say how many are malignant, and of the others nothing: every label tells that."""
    malignant_share = (malignant.sum() + 1) / (len(malignant) + 2)
    shares = np.full(len(CLASSES), (1 - malignant_share) / (len(CLASSES) - 1))
    shares[judged.MALIGNANT] = malignant_share
    return shares


def _shares(targets: Floats, rows: Flags) -> Floats:
    counts = targets[rows].sum(axis=0) + 1
    return np.asarray(counts / counts.sum())
