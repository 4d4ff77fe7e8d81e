"""Train one network for one fold: lesions first, then whole images, then the weights are written."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.network import architecture, catalogue, weights
from inference.network.engine import keras, tf
from models.training.images import dataset
from models.training.images.dataset import TrainingSet
from models.training.images.prepare import Prepared
from models.training.learning import epochs, head, published, stages, terms
from models.training.learning.epochs import Epoch, Progress
from models.training.learning.recipes import HeadStage, Recipe
from models.training.learning.stages import Run

WEIGHTS: Final = "weights.npz"
"""Name of the weights in the folder of a finished run."""
HISTORY: Final = "history.jsonl"
"""What every epoch of a run gave, one JSON object a line."""
ALL: Final = -1
"""The fold number of a network that is trained on every image."""

_PREDICTION_BATCH: Final = 8


class UnfinishedRunError(Exception):
    """There is a run in the folder already; the message says how to go on."""


class NoStartError(Exception):
    """The recipe wants ImageNet's weights and there are none; the message says how to name them."""


def training_set(data: Prepared, folds: Sequence[int], fold: int) -> TrainingSet:
    """Take all images but those of ``fold``; all where it is `ALL`."""
    return _subset(data, [number for number, number_of_fold in enumerate(folds) if number_of_fold != fold])


def held_out_set(data: Prepared, folds: Sequence[int], fold: int) -> TrainingSet | None:
    """Take the images of ``fold``; None where it is `ALL`."""
    if fold == ALL:
        return None
    return _subset(data, [number for number, number_of_fold in enumerate(folds) if number_of_fold == fold])


def run(
    prepared: Prepared,
    folds: Sequence[int],
    fold: int,
    folder: Path,
    recipe: Recipe,
    *,
    seed: int,
    resume: bool,
    imagenet: Path | None,
    start_from: Path | None = None,
    progress: Progress,
    report: Callable[[Epoch], None],
) -> None:
    """Train without ``fold`` and leave weights, history and checkpoints in ``folder``.

    Parameters
    ----------
    folds
        Of each prepared image.
    resume
        Go on after the last finished epoch, and leave a finished run as it is; without it, a folder with a
        run in it is an error.
    imagenet
        File of ImageNet's weights, for the networks that begin with them.
    start_from
        Folder of a published model whose branch goes on by a recipe from `recipes.continued` or `unchanged`.
    report
        Told after every epoch.

    Raises
    ------
    UnfinishedRunError
        Where the folder holds a run and ``resume`` is not wanted.
    OtherTermsError
        Where the run in the folder was begun with another recipe, seed, fold, start or other images.
    NoStartError
        Where the recipe begins with ImageNet's weights and ``imagenet`` is missing.
    StartError, ManifestError
        Where the model in ``start_from`` has no branch that has not seen ``fold``, or cannot be used.
    """
    _check_start(recipe, imagenet)
    patients = {
        example.person for example, number in zip(prepared.examples, folds, strict=True) if number == fold
    }
    start = None if start_from is None else published.check(start_from, fold, recipe, patients)
    stated = terms.of(prepared, folds, fold, recipe, seed=seed, imagenet=imagenet, start=start)
    if folder.exists() and any(folder.iterdir()):
        if not resume:
            raise UnfinishedRunError(f"{folder} holds a run; add --resume to go on, or name another --work")
        terms.check(folder, stated)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        terms.begin(folder, stated)
    if (folder / WEIGHTS).exists():
        return

    def note(epoch: Epoch) -> None:
        with (folder / HISTORY).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(epoch)) + "\n")
        report(epoch)

    training = Run(
        prepared=prepared,
        learning=training_set(prepared, folds, fold),
        held_out=held_out_set(prepared, folds, fold),
        folder=folder,
        seed=seed,
        progress=progress,
        note=note,
    )
    model = _begin(recipe, seed, imagenet)
    if start is not None:
        published.load(model, start, fold)
    learn(model, training, recipe)
    weights.save_weights(model, folder / WEIGHTS)


def learn(model: keras.Model, run: Run, recipe: Recipe) -> None:
    """Take a fresh ``model`` of any input size through the stages of ``recipe``."""
    stages.lesions(model, run, recipe.lesions)
    if isinstance(recipe.whole, HeadStage):
        _new_head(model, run, recipe.whole, epoch=recipe.lesions.epochs)
    else:
        stages.whole(model, run, recipe.whole)


def predict(model: keras.Model, data: Prepared, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute the logits of the examples ``numbers``: (n, classes)."""
    logits = keras.Model(model.inputs[0], model.get_layer(architecture.LOGITS).output)
    call = tf.function(logits, reduce_retracing=True)
    batches = dataset.plain(data.images, data.positions[numbers], batch=_PREDICTION_BATCH)
    return np.concatenate([call(images, training=False).numpy() for images in batches]).astype(np.float64)


def _subset(data: Prepared, inside: list[int]) -> TrainingSet:
    return TrainingSet(
        images=data.images,
        positions=data.positions[inside],
        examples=tuple(data.examples[number] for number in inside),
        lesions=tuple(data.lesions[number] for number in inside),
    )


def _check_start(recipe: Recipe, imagenet: Path | None) -> None:
    if recipe.from_imagenet and imagenet is None:
        raise NoStartError(
            f"{recipe.network} begins with what EfficientNet-Lite0 learned from ImageNet: "
            "name the file of its weights with --imagenet"
        )


def _begin(recipe: Recipe, seed: int, imagenet: Path | None) -> keras.Model:
    keras.utils.set_random_seed(seed)
    model = catalogue.build(recipe.network, rows=None, columns=None)
    if recipe.from_imagenet:
        catalogue.start(model, imagenet=imagenet)
    return model


def _new_head(model: keras.Model, run: Run, stage: HeadStage, *, epoch: int) -> None:
    began = time.monotonic()
    epochs.seed_layers(model, run.seed, epoch)
    loss = head.fit(model, run.learning, stage, np.random.default_rng([run.seed, epoch]), run.progress)
    seconds = time.monotonic() - began
    run.note(Epoch(stage="head", number=epoch, loss=loss, validation_loss=None, seconds=seconds))
