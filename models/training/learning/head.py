"""From lesions to whole images: a new head on what the convolutions have learned.

A lesion fills a good part of its cut-out and a hundredth of its image, so that averaged over a whole image
its trace is small beside what all breasts have in common. Therefore the head learns from averages whose mean
is taken away and which are scaled until they differ between whole images by one; its first layer does both
afterwards. The convolutions stay as they are: what they say about an image is computed once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.network import architecture
from inference.network.engine import keras, tf
from models.training.images import augmentation, dataset
from models.training.images.dataset import TrainingSet
from models.training.learning import objective
from models.training.learning.epochs import Progress
from models.training.learning.recipes import HeadStage

BATCH: Final = 16
"""Whole images that go through the convolutions at once; what fills no batch is left out."""
_CLIP: Final = 1.0
"""Greatest norm of the gradient, as in the other stages (`epochs`)."""
_QUIET: Final = 0.1
"""Channels that differ less than this share of the median channel are all but silent, and not blown up."""
_TINY: Final = 1e-6
"""Keeps the division from zero where every channel is silent."""


class TooFewImagesError(Exception):
    """There are not enough whole images for a batch; the message says how many are wanted."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Pooled:
    """Whole images as the head sees them, and what is asked of it."""

    features: NDArray[np.float32]
    target: NDArray[np.float32]
    log_share: NDArray[np.float32]
    weight: NDArray[np.float32]


def fit(
    model: keras.Model,
    data: TrainingSet,
    stage: HeadStage,
    generator: np.random.Generator,
    progress: Progress,
) -> float:
    """Train the head of ``model`` anew on whole images, and return the last loss.

    Raises TooFewImagesError where they fill no batch.
    """
    images = len(data.examples)
    if images // BATCH * BATCH * stage.passes < stage.batch:
        updates = BATCH * math.ceil(stage.batch / BATCH / stage.passes)
        raise TooFewImagesError(f"{images} training images; a new head needs {updates}")
    pooled = _pool(model, data, stage, generator, progress)
    mean, spread = pooled.features.mean(axis=0), pooled.features.std(axis=0)
    factor = 1 / np.maximum(spread, _QUIET * np.median(spread) + _TINY)
    layers = _head_layers(model)
    _renew(layers)
    features = (pooled.features - mean) * factor
    loss = _train(layers, features, pooled, stage, generator=generator, progress=progress)
    first = next(layer for layer in layers if isinstance(layer, keras.layers.Dense))
    kernel = np.asarray(first.kernel) * factor[:, None]
    first.kernel.assign(kernel)
    first.bias.assign(np.asarray(first.bias) - mean @ kernel)
    return loss


def _pool(
    model: keras.Model,
    data: TrainingSet,
    stage: HeadStage,
    generator: np.random.Generator,
    progress: Progress,
) -> _Pooled:
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False  # so it goes by what it has learned, in training as well
    call = tf.function(keras.Model(model.inputs[0], _pooling(model).output), reduce_retracing=True)
    parts: list[tuple[NDArray[np.float32], ...]] = []
    for number in range(stage.passes):
        limits = augmentation.WHOLE if number else augmentation.STILL
        cuts = dataset.whole_images(data, generator, batch=BATCH, limits=limits)
        batches = progress(
            dataset.stream(data.images, cuts, batch=BATCH),
            f"whole images, pass {number + 1}/{stage.passes}",
            len(cuts.positions) // BATCH,
        )
        for images, *columns in batches:
            # training=True: the dropout before the pooling is drawn, once in each pass
            parts.append((call(images, training=True).numpy(), *(part.numpy() for part in columns)))
    features, target, log_share, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _Pooled(features=features, target=target, log_share=log_share, weight=weight)


def _renew(layers: list[keras.layers.Layer]) -> None:
    for layer in layers:
        if isinstance(layer, keras.layers.Dense):
            layer.kernel.assign(layer.kernel_initializer(layer.kernel.shape))
            layer.bias.assign(layer.bias_initializer(layer.bias.shape))


def _train(
    layers: list[keras.layers.Layer],
    features: NDArray[np.float32],
    pooled: _Pooled,
    stage: HeadStage,
    *,
    generator: np.random.Generator,
    progress: Progress,
) -> float:
    head = _chained(layers, features.shape[1])
    steps = len(features) // stage.batch * stage.epochs
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(stage.learning_rate, steps))
    variables = head.trainable_variables
    optimizer.build(variables)

    def eager_step(
        inputs: tf.Tensor, target: tf.Tensor, log_share: tf.Tensor, weight: tf.Tensor
    ) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = objective.loss(head(inputs, training=True), target, log_share, weight) + sum(head.losses)
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, variables), _CLIP)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    step = tf.function(eager_step)
    columns = (features, pooled.target, pooled.log_share, pooled.weight)
    losses: list[float] = []
    for _ in progress(range(stage.epochs), "head", stage.epochs):
        order = generator.permutation(len(features))
        order = order[: len(order) // stage.batch * stage.batch].reshape(-1, stage.batch)
        losses = [float(step(*(column[members] for column in columns))) for members in order]
    return float(np.mean(losses))


def _pooling(model: keras.Model) -> keras.layers.Layer:
    return next(layer for layer in model.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D))


def _head_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers after the pooling, up to the logits."""
    names = [layer.name for layer in model.layers]
    return list(model.layers[names.index(_pooling(model).name) + 1 : names.index(architecture.LOGITS) + 1])


def _chained(layers: list[keras.layers.Layer], channels: int) -> keras.Model:
    inputs = keras.Input((channels,))
    outputs = inputs
    for layer in layers:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs)
