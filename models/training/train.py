"""Train one network for one fold: stage by stage, a checkpoint after every epoch, resumable at each.

The same seed gives the same weights, resumed or not: order and movements are drawn from the seed and the
number of the epoch, and the state of dropout is part of the checkpoint.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models import networks
from models.networks import keras, tf
from models.training import dataset, head, objective
from models.training.dataset import Cuts, TrainingSet
from models.training.prepare import Prepared
from models.training.recipes import Recipe, Stage

WEIGHTS: Final = "weights.npz"
"""Name of the weights in the folder of a finished run."""
ALL: Final = -1
"""The fold number of a network that is trained on every image."""
PREDICTION_BATCH: Final = 32

_WARM_UP: Final = 50
_CLIP: Final = 1.0


class UnfinishedRunError(Exception):
    """There is a run in the folder already; the message says how to go on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Epoch:
    """What an epoch has given, for the progress display and the history."""

    stage: str
    number: int
    """From 0, over all stages."""
    loss: float
    held_out_loss: float | None
    """Unweighted, of the held-out fold; only after epochs of whole images."""
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Split:
    """The images of one run."""

    train: TrainingSet
    held_out: NDArray[np.int64]
    """Numbers of the held-out examples in `Prepared.examples`."""


def split(data: Prepared, folds: list[int], fold: int) -> Split:
    """Hold ``fold`` out, or nothing where it is `ALL`."""
    inside = [number for number, its in enumerate(folds) if its != fold]
    train = TrainingSet(
        images=data.images,
        positions=data.positions[inside],
        examples=tuple(data.examples[number] for number in inside),
        lesions=tuple(data.lesions[number] for number in inside),
    )
    return Split(train=train, held_out=np.flatnonzero(np.array(folds) == fold))


def run(
    data: Prepared,
    parts: Split,
    folder: Path,
    recipe: Recipe,
    *,
    seed: int,
    resume: bool,
    progress: Callable[[Iterable[Any], str, int], Iterable[Any]],
    report: Callable[[Epoch], None],
) -> keras.Model:
    """Train and leave weights, history and checkpoints in ``folder``.

    Parameters
    ----------
    resume
        Go on after the last finished epoch; without it, a folder with a run in it is an error.
    progress
        Wraps the batches of an epoch, given its title and their number.
    report
        Told after every epoch.

    Raises
    ------
    UnfinishedRunError
        Where the folder holds a run and ``resume`` is not wanted.
    """
    keras.utils.set_random_seed(seed)
    model = networks.build(recipe.network, rows=None, columns=None)
    trainer = Trainer(model)
    finished = tf.Variable(0, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(model=model, optimizer=trainer.optimizer, finished=finished)
    manager = tf.train.CheckpointManager(checkpoint, folder / "checkpoints", max_to_keep=1)
    if manager.latest_checkpoint:
        if not resume:
            raise UnfinishedRunError(f"{folder} holds a run; add --resume to go on, or name another --work")
        checkpoint.restore(manager.latest_checkpoint).assert_consumed()
    for number, stage, within in _epochs(recipe):
        if number < int(finished):
            continue
        began = time.monotonic()
        if within == 0:
            trainer.begin(stage, parts.train)
        cuts = _cuts(parts.train, stage, np.random.default_rng([seed, number]))
        title = f"{stage.name} {within + 1}/{stage.epochs}"
        loss = trainer.epoch(data.images, cuts, stage, within, partial(_titled, progress, title))
        held_out = None
        if stage.side is None and len(parts.held_out):
            held_out = partial_log_loss(predict(model, data, parts.held_out), data, parts.held_out)
        finished.assign(number + 1)
        manager.save()
        epoch = Epoch(
            stage=stage.name,
            number=number,
            loss=loss,
            held_out_loss=held_out,
            seconds=time.monotonic() - began,
        )
        _note(folder, epoch)
        report(epoch)
    networks.save_weights(model, folder / WEIGHTS)
    return model


class Trainer:
    """A network with its optimiser, and the compiled training step."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self.optimizer = keras.optimizers.Adam(1e-3)
        self.optimizer.build(model.trainable_variables)
        self._logits = keras.Model(model.inputs[0], model.get_layer(networks.LOGITS).output)

    def begin(self, stage: Stage, data: TrainingSet) -> None:
        """Start a stage: forget the optimiser's memory and, where the stage says so, the head."""
        for variable in self.optimizer.variables:
            variable.assign(tf.zeros_like(variable))
        if stage.new_head:
            head.renew(self.model, data)

    def epoch(
        self,
        images: NDArray[np.uint8],
        cuts: Cuts,
        stage: Stage,
        within: int,
        progress: Callable[[Iterable[Any], int], Iterable[Any]],
    ) -> float:
        """Go through ``cuts`` once and return the mean loss."""
        step = tf.function(self._step_for(stage), reduce_retracing=True)
        batches = len(cuts.positions) // stage.batch
        losses = []
        for number, batch in enumerate(progress(dataset.stream(images, cuts, batch=stage.batch), batches)):
            rate = _rate(stage, within * batches + number, stage.epochs * batches)
            self.optimizer.learning_rate.assign(rate)
            losses.append(float(step(*batch)))
        return float(np.mean(losses))

    def _step_for(self, stage: Stage) -> Callable[..., Any]:
        variables = _trained(self.model, stage)

        def step(images: Any, target: Any, log_share: Any, weight: Any) -> Any:  # noqa: ANN401 - tensors
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch([variable.value for variable in variables])
                logits = self._logits(images, training=True)
                loss = objective.loss(logits, target, log_share, weight) + tf.add_n(self.model.losses)
            gradients, _ = tf.clip_by_global_norm(
                tape.gradient(loss, [variable.value for variable in variables]), _CLIP
            )
            self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
            return loss

        return step


def _trained(model: keras.Model, stage: Stage) -> list[Any]:
    names = [layer.name for layer in model.layers]
    first = 0 if stage.trained_from is None else names.index(stage.trained_from)
    return [variable for layer in model.layers[first:] for variable in layer.trainable_variables]


def predict(model: keras.Model, data: Prepared, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute the logits of the examples ``numbers``: (n, classes)."""
    logits = keras.Model(model.inputs[0], model.get_layer(networks.LOGITS).output)
    call = tf.function(lambda images: logits(images, training=False), reduce_retracing=True)
    batches = dataset.plain(data.images, data.positions[numbers], batch=PREDICTION_BATCH)
    return np.concatenate([call(images).numpy() for images in batches]).astype(np.float64)


def partial_log_loss(logits: NDArray[np.float64], data: Prepared, numbers: NDArray[np.int64]) -> float:
    """Mean of minus the logarithm of what the label's classes have together."""
    target = np.array([data.examples[number].target for number in numbers])
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return float(-np.log((shifted * target).sum(axis=1) / shifted.sum(axis=1)).mean())


def history(folder: Path) -> list[Epoch]:
    """Read what every epoch of a run gave."""
    lines = (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()
    return [Epoch(**json.loads(line)) for line in lines]


def _epochs(recipe: Recipe) -> Iterator[tuple[int, Stage, int]]:
    number = 0
    for stage in recipe.stages:
        for within in range(stage.epochs):
            yield number, stage, within
            number += 1


def _titled(
    progress: Callable[[Iterable[Any], str, int], Iterable[Any]],
    title: str,
    batches: Iterable[Any],
    number: int,
) -> Iterable[Any]:
    return progress(batches, title, number)


def _cuts(data: TrainingSet, stage: Stage, generator: np.random.Generator) -> Cuts:
    if stage.side is None:
        return dataset.whole_images(data, generator, batch=stage.batch)
    return dataset.lesion_cuts(data, generator, batch=stage.batch, batches=stage.batches, side=stage.side)


def _rate(stage: Stage, step: int, steps: int) -> float:
    return stage.learning_rate * min(1.0, (step + 1) / _WARM_UP) * (1 + math.cos(math.pi * step / steps)) / 2


def _note(folder: Path, epoch: Epoch) -> None:
    with (folder / "history.jsonl").open("a", encoding="utf-8") as file:
        fields = {name: getattr(epoch, name) for name in Epoch.__slots__}
        file.write(json.dumps(fields) + "\n")
