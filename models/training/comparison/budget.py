"""Train any network on the same number of images, in the same order, moved the same way, to the same end.

This compares networks, it does not make the best of each: whole images only, one short run, one learning rate
for networks that know ImageNet and one for those that know nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from models import networks
from models.networks import keras, tf
from models.training import augmentation, dataset, objective
from models.training.comparison.candidate import ComparisonError
from models.training.dataset import TrainingSet

Progress: TypeAlias = Callable[[Iterable[Any], str, int], Iterable[Any]]
"""Wraps batches, given their title and number."""

BATCH: Final = 16
RATE_FROM_RANDOM: Final = 1e-3
RATE_FROM_IMAGENET: Final = 3e-4
"""Small enough that a new head does not destroy what the convolutions know."""
_WARM_UP: Final = 0.1
"""Share of the steps in which the learning rate rises; it falls along a cosine to nothing in the others."""
_CLIP: Final = 1.0
_MOMENTUM: Final = 0.9
"""Of the running statistics of batch normalisations. Keras's 0.99 would still hold half of their first values
after a hundred steps, and the network would be judged by those."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What every network gets."""

    images: int
    """Seen in training, repetitions counted; what fills no batch is left out."""
    seed: int

    @property
    def steps(self) -> int:
        """Batches."""
        return self.images // BATCH

    @property
    def images_seen(self) -> int:
        """Images of whole batches."""
        return self.steps * BATCH


def train(model: keras.Model, data: TrainingSet, budget: Budget, *, rate: float, progress: Progress) -> float:
    """Train ``model`` with Adam up to the learning rate ``rate`` and return the mean loss of its last tenth.

    Raises
    ------
    ComparisonError
        Where ``data`` fills no batch, or the loss is no number any more.
    """
    if len(data.examples) < BATCH:
        raise ComparisonError(f"{len(data.examples)} training images; at least {BATCH} are needed")
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = _MOMENTUM
    step = _step(model, _optimizer(rate, budget.steps))
    batches = itertools.islice(_batches(data, budget.seed), budget.steps)
    losses = [float(step(*batch)) for batch in progress(batches, model.name, budget.steps)]
    last = float(np.mean(losses[-math.ceil(len(losses) / 10) :]))
    if not math.isfinite(last):
        raise ComparisonError(f"{model.name} diverged: its loss is no number; nothing can be said about it")
    return last


def _batches(data: TrainingSet, seed: int) -> Iterator[tuple[Any, ...]]:
    """Go through the images again and again, each time in another order that ``seed`` fixes."""
    for epoch in itertools.count():
        generator = np.random.default_rng([seed, epoch])
        cuts = dataset.whole_images(data, generator, batch=BATCH, limits=augmentation.WHOLE)
        yield from dataset.stream(data.images, cuts, batch=BATCH)


def _optimizer(rate: float, steps: int) -> keras.optimizers.Optimizer:
    rising = max(1, round(_WARM_UP * steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - rising), warmup_target=rate, warmup_steps=rising
    )
    return keras.optimizers.Adam(schedule, global_clipnorm=_CLIP)


def _step(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> Callable[..., Any]:
    logits_of = keras.Model(model.inputs[0], model.get_layer(networks.LOGITS).output)
    variables = model.trainable_variables
    optimizer.build(variables)

    def step(images: Any, target: Any, log_share: Any, weight: Any) -> Any:  # noqa: ANN401 - tensors
        with tf.GradientTape() as tape:
            logits = logits_of(images, training=True)
            loss = objective.loss(logits, target, log_share, weight) + sum(model.losses)
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    compiled: Callable[..., Any] = tf.function(step)
    return compiled
