"""Train one network for one fold: the lesion stage with a checkpoint after every epoch, then the head.

The same seed gives the same weights, resumed or not: order, movements and dropout are drawn from the seed and
the number of the epoch.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models import networks
from models.networks import keras, tf
from models.training import dataset, head, objective
from models.training.dataset import TrainingSet
from models.training.head import Progress
from models.training.prepare import Prepared
from models.training.recipes import LesionStage, Recipe

WEIGHTS: Final = "weights.npz"
"""Name of the weights in the folder of a finished run."""
HISTORY: Final = "history.jsonl"
"""What every epoch of a run gave, one JSON object a line."""
ALL: Final = -1
"""The fold number of a network that is trained on every image."""

_PREDICTION_BATCH: Final = 32
_WARM_UP: Final = 50
_CLIP: Final = 1.0


class UnfinishedRunError(Exception):
    """There is a run in the folder already; the message says how to go on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Epoch:
    """What an epoch has given, for the display and the history."""

    stage: str
    number: int
    loss: float
    seconds: float


def training_set(data: Prepared, folds: list[int], fold: int) -> TrainingSet:
    """Take all images but those of ``fold``; all where it is `ALL`."""
    inside = [number for number, its in enumerate(folds) if its != fold]
    return TrainingSet(
        images=data.images,
        positions=data.positions[inside],
        examples=tuple(data.examples[number] for number in inside),
        lesions=tuple(data.lesions[number] for number in inside),
    )


def run(
    data: TrainingSet,
    folder: Path,
    recipe: Recipe,
    *,
    seed: int,
    resume: bool,
    progress: Progress,
    report: Callable[[Epoch], None],
) -> None:
    """Train and leave weights, history and a checkpoint in ``folder``.

    Parameters
    ----------
    resume
        Go on after the last finished epoch, and leave a finished run as it is; without it, a folder with a
        run in it is an error.
    report
        Told after every epoch.

    Raises
    ------
    UnfinishedRunError
        Where the folder holds a run and ``resume`` is not wanted.
    """
    if (folder / HISTORY).exists() and not resume:
        raise UnfinishedRunError(f"{folder} holds a run; add --resume to go on, or name another --work")
    if (folder / WEIGHTS).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(seed)
    model = networks.build(recipe.network, rows=None, columns=None)

    def note(stage: str, number: int, loss: float, began: float) -> None:
        epoch = Epoch(stage=stage, number=number, loss=loss, seconds=time.monotonic() - began)
        with (folder / HISTORY).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(epoch)) + "\n")
        report(epoch)

    _learn_lesions(model, data, recipe.lesions, folder, seed=seed, progress=progress, note=note)
    began = time.monotonic()
    _seed(model, seed, recipe.lesions.epochs)
    loss = head.fit(model, data, recipe.head, np.random.default_rng([seed, recipe.lesions.epochs]), progress)
    note("head", recipe.lesions.epochs, loss, began)
    networks.save_weights(model, folder / WEIGHTS)


def predict(model: keras.Model, data: Prepared, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute the logits of the examples ``numbers``: (n, classes)."""
    call = tf.function(_logits(model), reduce_retracing=True)
    batches = dataset.plain(data.images, data.positions[numbers], batch=_PREDICTION_BATCH)
    return np.concatenate([call(images, training=False).numpy() for images in batches]).astype(np.float64)


def _learn_lesions(
    model: keras.Model,
    data: TrainingSet,
    stage: LesionStage,
    folder: Path,
    *,
    seed: int,
    progress: Progress,
    note: Callable[[str, int, float, float], None],
) -> None:
    optimizer = keras.optimizers.Adam(stage.learning_rate)
    optimizer.build(model.trainable_variables)
    finished = tf.Variable(0, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer, finished=finished)
    manager = tf.train.CheckpointManager(checkpoint, folder / "checkpoints", max_to_keep=1)
    if manager.latest_checkpoint:
        checkpoint.restore(manager.latest_checkpoint).assert_consumed()
    step = _step(model, optimizer)
    steps = stage.epochs * stage.batches
    for number in range(int(finished), stage.epochs):
        began = time.monotonic()
        _seed(model, seed, number)
        generator = np.random.default_rng([seed, number])
        cuts = dataset.lesion_cuts(data, generator, batch=stage.batch, batches=stage.batches, side=stage.side)
        losses = []
        stream = dataset.stream(data.images, cuts, batch=stage.batch)
        batches = progress(stream, f"lesions {number + 1}/{stage.epochs}", stage.batches)
        for within, batch in enumerate(batches):
            optimizer.learning_rate.assign(_rate(stage, number * stage.batches + within, steps))
            losses.append(float(step(*batch)))
        finished.assign(number + 1)
        manager.save()
        note("lesions", number, float(np.mean(losses)), began)


def _seed(model: keras.Model, seed: int, epoch: int) -> None:
    """Let whatever Keras draws in this epoch follow from ``seed`` and ``epoch``."""
    keras.utils.set_random_seed(seed + epoch)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.seed_generator.state.assign([seed, epoch])


def _step(model: keras.Model, optimizer: Any) -> Callable[..., Any]:  # noqa: ANN401 - Keras is untyped
    logits_of = _logits(model)
    variables = model.trainable_variables

    def step(images: Any, target: Any, log_share: Any, weight: Any) -> Any:  # noqa: ANN401 - tensors
        with tf.GradientTape() as tape:
            logits = logits_of(images, training=True)
            loss = objective.loss(logits, target, log_share, weight) + tf.add_n(model.losses)
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, variables), _CLIP)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    compiled: Callable[..., Any] = tf.function(step)
    return compiled


def _logits(model: keras.Model) -> keras.Model:
    return keras.Model(model.inputs[0], model.get_layer(networks.LOGITS).output)


def _rate(stage: LesionStage, step: int, steps: int) -> float:
    return stage.learning_rate * min(1.0, (step + 1) / _WARM_UP) * (1 + math.cos(math.pi * step / steps)) / 2
