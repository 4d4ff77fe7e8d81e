"""From lesions to whole images: a new head on what the convolutions have learned.

A lesion fills a good part of its cut-out and a hundredth of its image, so that averaged over a whole image
its trace is small beside what all breasts have in common. The last convolution is scaled up (a ReLU lets a
factor through) until the averaged features differ between images by one, and the head begins centred on them.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from models import networks
from models.networks import keras, tf
from models.training import dataset
from models.training.dataset import TrainingSet

_IMAGES: Final = 256
_BATCH: Final = 16


def renew(model: keras.Model, data: TrainingSet) -> None:
    """Scale the last convolution to whole images and draw the dense layers after it anew, centred."""
    convolution = model.get_layer(networks.last_convolution(model))
    features = _features(model, data)
    factor = 1 / max(float(features.std(axis=0).mean()), 1e-6)
    for variable in convolution.trainable_variables:
        variable.assign(variable * factor)
    first = True
    for layer in model.layers:
        if not isinstance(layer, keras.layers.Dense):
            continue
        kernel = layer.kernel_initializer(layer.kernel.shape)
        layer.kernel.assign(kernel)
        # Only the first dense layer sees the features; those after it start without a bias.
        centre = (features * factor).mean(axis=0, keepdims=True) @ np.asarray(kernel) if first else 0.0
        layer.bias.assign(tf.zeros_like(layer.bias) - tf.reshape(tf.cast(centre, tf.float32), [-1]))
        first = False


def _features(model: keras.Model, data: TrainingSet) -> np.ndarray:
    """Average-pooled features of some whole training images: (n, channels)."""
    pooling = next(layer for layer in model.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D))
    call = keras.Model(model.inputs[0], pooling.output)
    some = data.positions[
        np.linspace(0, len(data.positions) - 1, min(_IMAGES, len(data.positions))).astype(int)
    ]
    return np.concatenate(
        [np.asarray(call(images)) for images in dataset.plain(data.images, some, batch=_BATCH)]
    )
