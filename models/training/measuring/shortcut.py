"""Can the source be told from what the network says about an image? Measured, and against plain statistics.

The networks of two folds have features of their own, so the test is made within each fold's held-out images:
a logistic regression learns the source from some patients' features and is asked about the others'.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from models.training.evaluation import bootstrap, labelling
from models.training.evaluation.measured import SourceProbe
from models.training.evaluation.measures import Integers, rounded, stated
from models.training.evaluation.predictions import Predictions

STATISTICS: Final = (
    "share of the picture that is breast", "height of the breast", "width of the breast", "mean",
    "standard deviation", "percentile 5", "percentile 25", "percentile 50", "percentile 75", "percentile 95",
    "mean step to the right", "mean step downwards",
)  # fmt: skip
"""What `statistics` computes of each image; grey values and steps over the breast alone."""

_PERCENTILES: Final = (5, 25, 50, 75, 95)
_SPLITS: Final = 5
_COMPONENTS: Final = 64
"""Of the network's features, by principal components; no measurement on record."""
_STEPS: Final = 2000
_WHITE: Final = 255


def statistics(images: Iterator[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Compute `STATISTICS` of prepared images (rows, columns), black outside the breast: (n, statistics)."""
    return np.array([_of_image(image) for image in images], np.float32)


def tell_sources(features: NDArray[np.float32], predictions: Predictions) -> SourceProbe:
    """Measure how well the source is told from ``features`` (n, anything), rows as in ``predictions``.

    Multinomial logistic regression on the first principal components, cross-validated by patient within each
    fold. Chance is what always saying the most frequent source gives, and one over the number of sources.
    """
    names, truth = np.unique(predictions.sources, return_inverse=True)
    patients = np.array(predictions.patients)
    predicted = np.empty_like(truth)
    with threadpool_limits(1):  # small matrices: threads would only wait for each other
        for fold in np.unique(predictions.folds):
            rows = np.flatnonzero(predictions.folds == fold)
            predicted[rows] = _predicted(features[rows], truth[rows], patients[rows])
    figures = labelling.figures(truth, predicted, len(names))
    accuracy, balanced, *_ = bootstrap.draw(predictions.patients).estimates(figures)
    return SourceProbe(
        sources=tuple(names.tolist()),
        features=features.shape[1],
        accuracy=stated(accuracy),
        accuracy_by_chance=rounded(float(np.bincount(truth).max() / len(truth))),
        balanced_accuracy=stated(balanced),
        balanced_accuracy_by_chance=rounded(1 / len(names)),
    )


def _predicted(features: NDArray[np.float32], truth: Integers, patients: NDArray[np.str_]) -> Integers:
    """Predict the source of each row from other patients; where there are too few, the most frequent one."""
    predicted = np.full_like(truth, np.bincount(truth).argmax())
    people = [len(set(patients[truth == source])) for source in np.unique(truth)]
    splits = min(_SPLITS, *people)
    if splits < 2 or len(people) < 2:  # noqa: PLR2004 - nothing to learn from, or nothing to tell
        return predicted
    for inside, held_out in StratifiedGroupKFold(splits).split(features, truth, patients):
        components = min(_COMPONENTS, features.shape[1], len(inside))
        model = make_pipeline(
            StandardScaler(),
            PCA(components, svd_solver="full"),
            LogisticRegression(max_iter=_STEPS),
        )
        predicted[held_out] = model.fit(features[inside], truth[inside]).predict(features[held_out])
    return predicted


def _of_image(image: NDArray[np.uint8]) -> tuple[float, ...]:
    breast = image > 0
    if not breast.any():
        return (0.0,) * len(STATISTICS)
    grey = image[breast] / _WHITE
    rows, columns = breast.any(axis=1).mean(), breast.any(axis=0).mean()
    return (
        float(breast.mean()), float(rows), float(columns), float(grey.mean()), float(grey.std()),
        *(float(value) for value in np.percentile(grey, _PERCENTILES)),
        _step(image, breast, axis=1), _step(image, breast, axis=0),
    )  # fmt: skip


def _step(image: NDArray[np.uint8], breast: NDArray[np.bool_], *, axis: int) -> float:
    """Return the mean absolute difference of neighbours that are both breast."""
    inside = np.diff(breast.astype(np.int8), axis=axis) == 0
    inside &= np.delete(breast, 0, axis=axis)
    steps = np.abs(np.diff(image.astype(np.int16), axis=axis))[inside]
    return float(steps.mean() / _WHITE) if len(steps) else 0.0
