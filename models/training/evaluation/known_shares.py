"""What the four classes would be worth if the shares of the classes at a site were known.

The network is trained to expect all classes alike. Where that is not so, Bayes' rule moves its scores to the
shares that there are (Saerens, Latinne and Decaestecker 2002, eq. 4). The node does not do this: it knows no
site's shares. The figures part what is missed for want of them from what the network cannot see.
"""

from __future__ import annotations

import numpy as np

from models.training.evaluation import bootstrap, calibration, judged, labelling
from models.training.evaluation.figures import KnownShares
from models.training.evaluation.measures import Flags, Floats, stated
from models.training.evaluation.scored import Scored


def figures(part: Scored) -> KnownShares | None:
    """Compute the figures of one source's images; None where it has no certain label or one fold only.

    The shares are those of the source's certain labels in the other folds, one image added to each class.
    """
    folds = np.unique(part.predictions.folds)
    before = judged.images(part.predictions.examples, part.honest)
    if len(folds) == 1 or not before.certain.any():
        return None
    scores = np.empty_like(part.honest)
    for fold in folds:
        inside = part.predictions.folds == fold
        scores[inside] = moved(part.honest[inside], _shares(before.targets, before.certain & ~inside))
    after = judged.images(part.predictions.examples, scores)
    rows = after.certain
    truth, predicted = after.targets[rows].argmax(axis=1), after.predicted[rows]
    patients = [name for name, keep in zip(after.patients, rows, strict=True) if keep]
    draws = bootstrap.draw(patients, resamples=part.resamples)
    labelled = draws.estimates(labelling.figures(truth, predicted, scores.shape[1]))
    error = draws.estimate(calibration.error(after.confidence[rows], predicted == truth))
    return KnownShares(
        accuracy=stated(labelled[0]),
        balanced_accuracy=stated(labelled[1]),
        label_calibration_error=stated(error),
    )


def moved(scores: Floats, shares: Floats) -> Floats:
    """Move scores (images, classes) of a network that expects all classes alike to ``shares`` (classes,)."""
    weighted = scores * shares
    return np.asarray(weighted / weighted.sum(axis=1, keepdims=True))


def _shares(targets: Floats, rows: Flags) -> Floats:
    counts = targets[rows].sum(axis=0) + 1
    return np.asarray(counts / counts.sum())
