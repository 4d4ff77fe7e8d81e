"""Epoch after epoch: one stage of a training run, with a checkpoint after each epoch.

The same seed gives the same weights, resumed or not: order, movements and dropout are drawn from the seed and
the number of the epoch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from inference.network.engine import keras, tf

Progress: TypeAlias = Callable[[Iterable[Any], str, int], Iterable[Any]]
"""Wraps the batches of an epoch, given its title and their number."""

Objective: TypeAlias = Callable[..., tf.Tensor]
"""Gives the loss of a batch."""

_WARM_UP: Final = 50
"""Steps in which the rate rises from nothing (Goyal et al. 2017); no measurement on record."""
_CLIP: Final = 1.0
"""Greatest norm of the gradient (Pascanu et al. 2013); no measurement on record."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Epoch:
    """What an epoch has given, for the display and the history."""

    stage: str
    number: int
    loss: float
    validation_loss: float | None
    """Of the images held out, as the node shows them; None where none are."""
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """How long a stage learns, and how fast."""

    stage: str
    epochs: int
    batches: int
    """In an epoch."""
    learning_rate: float
    """After a short warm-up; it falls along a cosine to nothing at the end of the stage."""
    head_rate: float = 1.0
    """How many times faster the variables learn that begin with nothing."""
    is_head: Callable[[str], bool] = lambda _: False
    """Whether the variable of this path is one of them."""
    weight_decay: float = 0.0
    """Decoupled (Loshchilov and Hutter 2019)."""


def run(
    model: keras.Model,
    schedule: Schedule,
    folder: Path,
    objective: Objective,
    *,
    seed: int,
    batches: Callable[[np.random.Generator], Iterable[Sequence[tf.Tensor]]],
    held_out: Callable[[], Iterable[Sequence[tf.Tensor]]] | None,
    progress: Progress,
    note: Callable[[Epoch], None],
) -> None:
    """Train the trainable variables of ``model``, and go on where a checkpoint in ``folder`` ends.

    Parameters
    ----------
    objective
        What is minimised: takes the outputs of ``model`` and all of a batch but its inputs.
    batches, held_out
        Make batches of inputs and what ``objective`` wants: one epoch from a generator, and those for
        validation.
    note
        Told after every epoch.
    """
    learner = _Learner(model, schedule, objective)
    checkpoint = tf.train.Checkpoint(
        model=model, optimizers=learner.optimizers, finished=tf.Variable(0, dtype=tf.int64)
    )
    manager = tf.train.CheckpointManager(checkpoint, folder / f"checkpoints-{schedule.stage}", max_to_keep=1)
    if manager.latest_checkpoint:
        checkpoint.restore(manager.latest_checkpoint).assert_consumed()
    for number in range(int(checkpoint.finished), schedule.epochs):
        began = time.monotonic()
        seed_layers(model, seed, number)
        stream = batches(np.random.default_rng([seed, number]))
        title = f"{schedule.stage} {number + 1}/{schedule.epochs}"
        losses = [
            learner.learn(batch, number * schedule.batches + within)
            for within, batch in enumerate(progress(stream, title, schedule.batches))
        ]
        validation = None if held_out is None else learner.validate(held_out())
        checkpoint.finished.assign(number + 1)
        manager.save()
        note(
            Epoch(
                stage=schedule.stage,
                number=number,
                loss=float(np.mean(losses)),
                validation_loss=validation,
                seconds=time.monotonic() - began,
            )
        )


def seed_layers(model: keras.Model, seed: int, epoch: int) -> None:
    """Let whatever Keras draws in this epoch follow from ``seed`` and ``epoch``."""
    keras.utils.set_random_seed(seed + epoch)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.seed_generator.state.assign([seed, epoch])


class _Learner:
    """One step of learning, compiled, with a learning rate for the head and one for all before it."""

    def __init__(self, model: keras.Model, schedule: Schedule, objective: Objective) -> None:
        self._model = model
        self._schedule = schedule
        self._objective = objective
        head = [variable for variable in model.trainable_variables if schedule.is_head(variable.path)]
        rest = [variable for variable in model.trainable_variables if not schedule.is_head(variable.path)]
        groups = [(rest, schedule.learning_rate), (head, schedule.learning_rate * schedule.head_rate)]
        self._groups = [(variables, rate) for variables, rate in groups if variables]
        self.optimizers = [
            keras.optimizers.AdamW(rate, weight_decay=schedule.weight_decay) for _, rate in self._groups
        ]
        for optimizer, (variables, _) in zip(self.optimizers, self._groups, strict=True):
            optimizer.build(variables)
        self._step = tf.function(self._eager_step, reduce_retracing=True)
        self._loss = tf.function(self._eager_loss, reduce_retracing=True)

    def learn(self, batch: Sequence[tf.Tensor], number: int) -> float:
        """Take step ``number`` of the stage, return its loss."""
        share = self._share(number)
        for optimizer, (_, rate) in zip(self.optimizers, self._groups, strict=True):
            optimizer.learning_rate.assign(rate * share)
        return float(self._step(*batch))

    def validate(self, batches: Iterable[Sequence[tf.Tensor]]) -> float:
        """Average the loss of ``batches``, each weighed with its size."""
        sizes, losses = [], []
        for batch in batches:
            sizes.append(len(batch[0]))
            losses.append(float(self._loss(*batch)))
        return float(np.average(losses, weights=sizes))

    def _share(self, step: int) -> float:
        steps = self._schedule.epochs * self._schedule.batches
        return min(1.0, (step + 1) / _WARM_UP) * (1 + math.cos(math.pi * step / steps)) / 2

    def _eager_step(self, inputs: tf.Tensor, *targets: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = self._objective(self._model(inputs, training=True), *targets)
            if self._model.losses:
                loss += tf.add_n(self._model.losses)
        variables = [variable for group, _ in self._groups for variable in group]
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, variables), _CLIP)
        left = iter(gradients)
        for optimizer, (group, _) in zip(self.optimizers, self._groups, strict=True):
            optimizer.apply_gradients([(next(left), variable) for variable in group])
        return loss

    def _eager_loss(self, inputs: tf.Tensor, *targets: tf.Tensor) -> tf.Tensor:
        return self._objective(self._model(inputs, training=False), *targets)
