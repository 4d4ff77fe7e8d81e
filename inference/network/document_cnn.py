"""The network of the customer's document: four convolutions, global average pooling, one dense layer."""

from __future__ import annotations

from typing import Any, Final

from inference.network.architecture import LOGITS, Architecture
from inference.network.engine import keras


def _layers(image: Any, classes: int) -> Any:  # noqa: ANN401 - Keras tensors are untyped
    layers = keras.layers
    x = image
    for number, (filters, pool) in enumerate(((32, 2), (64, 3), (128, 3), (258, 3)), start=1):
        x = layers.Conv2D(
            filters,
            3,
            padding="same",
            activation="relu",
            # He: without batch normalisation, Glorot's smaller start loses the signal in four ReLU layers.
            kernel_initializer="he_normal",
            name=f"convolution_{number}",
        )(x)
        x = layers.MaxPooling2D(pool, strides=2, name=f"pooling_{number}")(x)
    x = layers.Dropout(0.3, name="dropout_1")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    penalty = keras.regularizers.L2(0.001)
    x = layers.Dense(64, activation="relu", kernel_regularizer=penalty, name="dense")(x)
    x = layers.Dropout(0.5, name="dropout_2")(x)
    return layers.Dense(classes, name=LOGITS)(x)


DOCUMENT_CNN: Final = Architecture(layers=_layers, last_convolution="convolution_4")
