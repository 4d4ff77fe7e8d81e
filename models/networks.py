"""The networks, under one interface: build by name, then ask for the layers that the explanation needs.

Every network takes images (n, rows, columns, 1) with values 0 to 1 and returns softmax scores of the classes.
It names its last convolution (where Grad-CAM looks) and keeps its logits in a layer of their own (where the
temperature of the manifest applies). Weights are kept as plain arrays (`.npz` without pickle).
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models import quiet

# Set before TensorFlow is loaded. oneDNN is on by default on some processors only; one setting everywhere
# keeps scores comparable, and it is the faster one (a fifth, measured on AVX2).
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
with quiet.native_stderr_off():
    import keras
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")

__all__ = [
    "ARCHITECTURES",
    "LOGITS",
    "Architecture",
    "UnknownNetworkError",
    "WeightsError",
    "build",
    "fix_computation",
    "keras",
    "last_convolution",
    "load_weights",
    "save_weights",
    "tf",
    "with_activations",
]

LOGITS: Final = "logits"
"""Name of the layer before the softmax, in every network."""


class UnknownNetworkError(ValueError):
    """No network of this name exists; the message lists those that do."""


class WeightsError(ValueError):
    """The weights file does not fit the network; the message says where."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """How one network is built, and where its explanation is read."""

    layers: Callable[[Any, int], Any]
    """Takes the input tensor and the number of classes, returns the logits tensor."""
    last_convolution: str
    """Name of the convolution whose activations Grad-CAM weighs."""


def build(network: str, *, rows: int | None, columns: int | None, classes: int = 4) -> keras.Model:
    """Build ``network`` with fresh weights, for images of any size where rows and columns are None.

    Raises UnknownNetworkError.

    Returns
    -------
    keras.Model
        From (n, rows, columns, 1), float32, 0 to 1, to (n, classes) softmax scores.
    """
    image = keras.Input((rows, columns, 1), name="image")
    logits = _architecture(network).layers(image, classes)
    scores = keras.layers.Softmax(name="scores")(logits)
    return keras.Model(image, scores, name=network)


def last_convolution(model: keras.Model) -> str:
    """Name the layer of ``model`` at which Grad-CAM looks."""
    return _architecture(model.name).last_convolution


def with_activations(model: keras.Model) -> keras.Model:
    """Open ``model`` up: from images to (last convolution, logits), sharing its weights."""
    inside = model.get_layer(last_convolution(model)).output
    return keras.Model(model.inputs[0], [inside, model.get_layer(LOGITS).output], name=model.name)


def save_weights(model: keras.Model, path: Path) -> None:
    """Write the weights of ``model`` as named arrays; the same weights give the same bytes."""
    arrays: dict[str, Any] = {variable.path: np.asarray(variable) for variable in model.trainable_variables}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def load_weights(model: keras.Model, path: Path) -> None:
    """Fill ``model`` from a file that `save_weights` wrote.

    Raises WeightsError where names or shapes differ.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as named:
            arrays = {name: named[name] for name in named.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path} is not a file of weights: {error}") from error
    wanted = {variable.path: variable for variable in model.trainable_variables}
    _check_names(path, arrays, wanted)
    for name, variable in wanted.items():
        if arrays[name].shape != tuple(variable.shape):
            raise WeightsError(
                f"{path}: {name} is {arrays[name].shape}, the network wants {tuple(variable.shape)}"
            )
        variable.assign(arrays[name])


def fix_computation(threads: int) -> None:
    """Compute on ``threads`` processor threads and the same bits for the same batch, in this whole process.

    Raises RuntimeError where TensorFlow has already begun to work with another number of threads.
    """
    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError as error:
            raise RuntimeError(
                f"TensorFlow computes in this process already; its threads cannot become {threads} now"
            ) from error
    tf.config.experimental.enable_op_determinism()
    with quiet.native_stderr_off():
        tf.constant(0)  # the first operation starts the context, which prints about absent graphics cards


def _architecture(network: str) -> Architecture:
    try:
        return ARCHITECTURES[network]
    except KeyError:
        raise UnknownNetworkError(
            f"network {network!r} is not known; there is {', '.join(ARCHITECTURES)}"
        ) from None


def _check_names(path: Path, arrays: Mapping[str, NDArray[Any]], wanted: Mapping[str, object]) -> None:
    if missing := sorted(wanted.keys() - arrays.keys()):
        raise WeightsError(f"{path} lacks {', '.join(missing)}")
    if unknown := sorted(arrays.keys() - wanted.keys()):
        raise WeightsError(f"{path} has weights that the network has not: {', '.join(unknown)}")


def _document_cnn(image: Any, classes: int) -> Any:  # noqa: ANN401 - Keras tensors are untyped
    """Build the customer's own network: four convolutions, global average pooling, one dense layer."""
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


ARCHITECTURES: Final[Mapping[str, Architecture]] = MappingProxyType(
    {"document-cnn": Architecture(layers=_document_cnn, last_convolution="convolution_4")}
)
