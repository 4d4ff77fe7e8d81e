"""Every network by its name: build it, then ask for the layers that the explanation needs.

The small definitions stand here: the network of the customer's document, and ResNet50 (He et al. 2016) and
DenseNet121 (Huang et al. 2017) from ``keras.applications``, for grey images. Into the latter go three equal
channels, through the preprocessing that each was published with; their batch normalisations stay, with
statistics that are weights like others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.error import URLError

from inference.network import efficientnet_lite, efficientnet_lite_imagenet, secondread
from inference.network.architecture import LOGITS, RANDOM, Architecture, Head, Start, pooled_logits
from inference.network.engine import keras

_PUBLISHED: Final = Start(origin="ImageNet (keras.applications)")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Application:
    """One network of the library."""

    builder: Callable[..., keras.Model]
    preprocess: Callable[[Any], Any]
    """Takes (n, rows, columns, 3) with values 0 to 255."""

    def layers(self, image: Any, classes: int) -> Any:  # noqa: ANN401 - Keras tensors are untyped
        """Build it on a grey image 0 to 1."""
        grey = keras.layers.Rescaling(255.0, name="rescaling")(image)
        colour = keras.layers.Concatenate(name="channels")([grey, grey, grey])
        backbone = self.builder(include_top=False, weights=None, input_tensor=self.preprocess(colour))
        return pooled_logits(backbone.output, classes)

    def from_imagenet(self, model: keras.Model, file: Path | None) -> Start:  # noqa: ARG002 - theirs is downloaded
        """Fill ``model`` with the library's weights, downloaded if need be; say so where they cannot be."""
        try:
            published = self.builder(include_top=False, weights="imagenet")
        except Exception as error:
            cause = error.__context__  # Keras makes a plain Exception of a failed download
            if not isinstance(cause, URLError):
                raise
            return Start(origin=RANDOM.origin, reason=f"the weights could not be downloaded ({cause.reason})")
        for layer in published.layers:
            if layer.weights:
                model.get_layer(layer.name).set_weights(layer.get_weights())
        return _PUBLISHED


def _of_library(application: _Application, last: str) -> Architecture:
    return Architecture(
        layers=application.layers, last_convolution=last, from_imagenet=application.from_imagenet
    )


_RESNET50: Final = _Application(
    builder=keras.applications.ResNet50, preprocess=keras.applications.resnet.preprocess_input
)
_DENSENET121: Final = _Application(
    builder=keras.applications.DenseNet121, preprocess=keras.applications.densenet.preprocess_input
)
RESNET50: Final = _of_library(_RESNET50, "conv5_block3_out")
DENSENET121: Final = _of_library(_DENSENET121, "relu")


def _document_layers(image: Any, classes: int) -> Any:  # noqa: ANN401 - Keras tensors are untyped
    """Four convolutions, global average pooling, one dense layer: the network of the customer's document."""
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


DOCUMENT_CNN: Final = Architecture(layers=_document_layers, last_convolution="convolution_4")
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


def head(model: keras.Model) -> Head:
    """Open the head of ``model``: what the gradients of Grad-CAM go back to."""
    if (opened := _architecture(model.name).head) is not None:
        return opened(model)
    return Head(
        inputs=[model.get_layer(last_convolution(model)).output],
        mean_gradient=lambda gradients: keras.ops.mean(gradients[0], axis=(1, 2)),
    )


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
