"""What each fold's network says about its held-out images: table of predictions, and features beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.network import architecture, catalogue, secondread
from inference.network import weights as weight_files
from inference.network.engine import keras, tf
from models.training.evaluation import predictions
from models.training.images import dataset
from models.training.images.prepare import Prepared
from models.training.learning import terms
from models.training.learning.recipes import Recipe
from models.training.measuring import shortcut, slots

_BATCH = 8
_STATISTICS_ROWS = 256
"""Plain statistics are taken of at most about this many rows."""


class NothingTrainedError(Exception):
    """There is no network to ask; the message says what to run."""


def write(
    data: Prepared, fold_numbers: Sequence[int], weights: Mapping[int, Path], recipe: Recipe, folder: Path
) -> list[int]:
    """Ask each fold's network about its held-out images, write table and features into ``folder``.

    Parameters
    ----------
    fold_numbers
        Fold of each image of ``data``.
    weights
        Of each fold's network; folds without such a file are left out.

    Returns
    -------
        The folds that are in the table.

    Raises
    ------
    NothingTrainedError
        Where no fold has weights.
    OtherTermsError
        Where a fold was trained on other images, or while others were held out.
    """
    trained = sorted(fold for fold, path in weights.items() if path.exists())
    if not trained:
        raise NothingTrainedError(f"{folder} holds no trained fold; run `train` first")
    for fold in trained:
        terms.check(weights[fold].parent, terms.of_images(data, fold_numbers, fold))
    numbers = [np.flatnonzero(np.array(fold_numbers) == fold) for fold in trained]
    answers = [
        _ask(data, held_out, weights[fold], recipe) for fold, held_out in zip(trained, numbers, strict=True)
    ]
    logits = [(held_out, part[0]) for held_out, part in zip(numbers, answers, strict=True)]
    order = predictions.write(
        predictions.collect(data.examples, fold_numbers, logits), folder / predictions.FILE_NAME
    )
    positions = data.positions[np.concatenate(numbers)[order]]
    step = max(1, data.images.shape[1] // _STATISTICS_ROWS)
    np.savez(
        folder / slots.FEATURES,
        network=np.concatenate([part[1] for part in answers])[order],
        plain_statistics=shortcut.statistics(data.images[number, ::step, ::step] for number in positions),
    )
    return trained


def _ask(
    data: Prepared, numbers: NDArray[np.int64], weights: Path, recipe: Recipe
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Compute logits (n, classes) and what the judging layer sees (n, features)."""
    model = catalogue.build(secondread.member(recipe.network), rows=recipe.rows, columns=recipe.columns)
    weight_files.load_weights(model, weights)
    outputs = [model.get_layer(architecture.LOGITS).output, catalogue.features(model)]
    call = tf.function(keras.Model(model.inputs[0], outputs), reduce_retracing=True)
    batches = dataset.plain(data.images, data.positions[numbers], batch=_BATCH)
    parts = [_of_images(*call(images, training=False)) for images in batches]
    scores, features = (np.concatenate(column) for column in zip(*parts, strict=True))
    return scores.astype(np.float64), features.astype(np.float32)


def _of_images(logits: tf.Tensor, features: tf.Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Average the features of images that were read in several ways, one way after the other."""
    scores, per_reading = logits.numpy(), features.numpy()
    return scores, per_reading.reshape(-1, len(scores), per_reading.shape[1]).mean(axis=0)
