"""Every network by its name: build it, then ask for the layers that the explanation needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from inference.network import efficientnet_lite, efficientnet_lite_imagenet, secondread
from inference.network.applications import DENSENET121, RESNET50
from inference.network.architecture import LOGITS, Architecture, Start
from inference.network.document_cnn import DOCUMENT_CNN
from inference.network.engine import keras

_EFFICIENTNET_LITE0: Final = Architecture(
    layers=efficientnet_lite.layers,
    last_convolution=efficientnet_lite.HEAD,
    from_imagenet=efficientnet_lite_imagenet.from_imagenet,
)
ARCHITECTURES: Final[Mapping[str, Architecture]] = MappingProxyType(
    {
        "document-cnn": DOCUMENT_CNN,
        "resnet50": RESNET50,
        "densenet121": DENSENET121,
        "efficientnet-lite0": _EFFICIENTNET_LITE0,
        secondread.NAME: secondread.architecture(branches=1, both_ways=False),
        **{
            secondread.joined(count): secondread.architecture(branches=count, both_ways=True)
            for count in range(1, 6)
        },
    }
)


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


def start(model: keras.Model, *, imagenet: Path | None = None) -> Start:
    """Fill a fresh ``model`` with what its network learned from ImageNet, where that is to be had.

    Parameters
    ----------
    model
        From `build`.
    imagenet
        File of weights, for networks that take theirs from a file.

    Returns
    -------
    Start
        What the model starts from now; random weights stay random and are called so.

    Raises
    ------
    WeightsError
        Where the file does not fit.
    """
    return _architecture(model.name).from_imagenet(model, imagenet)


def last_convolution(model: keras.Model) -> str:
    """Name the layer of ``model`` at which Grad-CAM looks."""
    return _architecture(model.name).last_convolution


def with_activations(model: keras.Model) -> keras.Model:
    """Open ``model`` up: from images to (last convolution, logits), sharing its weights."""
    inside = model.get_layer(last_convolution(model)).output
    return keras.Model(model.inputs[0], [inside, model.get_layer(LOGITS).output], name=model.name)


def features(model: keras.Model) -> Any:  # noqa: ANN401 - Keras ships no types
    """Return the tensor of ``model`` that its judging layer sees.

    (n, features), or (ways · n, features) where ``model`` reads images in several ways, one after the other.
    """
    return model.get_layer(_architecture(model.name).judge).input


def _architecture(network: str) -> Architecture:
    try:
        return ARCHITECTURES[network]
    except KeyError:
        raise UnknownNetworkError(
            f"network {network!r} is not known; there is {', '.join(ARCHITECTURES)}"
        ) from None
