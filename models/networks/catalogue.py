"""Every network by its name: build it, then ask for the layers that the explanation needs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from models.networks.architecture import LOGITS, Architecture
from models.networks.document_cnn import DOCUMENT_CNN
from models.networks.engine import keras

ARCHITECTURES: Final[Mapping[str, Architecture]] = MappingProxyType({"document-cnn": DOCUMENT_CNN})


class UnknownNetworkError(ValueError):
    """No network of this name exists; the message lists those that do."""


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


def _architecture(network: str) -> Architecture:
    try:
        return ARCHITECTURES[network]
    except KeyError:
        raise UnknownNetworkError(
            f"network {network!r} is not known; there is {', '.join(ARCHITECTURES)}"
        ) from None
