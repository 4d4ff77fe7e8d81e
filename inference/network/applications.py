"""ResNet50 (He et al. 2016) and DenseNet121 (Huang et al. 2017) from ``keras.applications``, for grey images.

Three equal channels go in, through the preprocessing that each was published with. Their batch normalisations
stay, with statistics that are weights like others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError

from inference.network.architecture import RANDOM, Architecture, Start, pooled_logits
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


def _architecture(application: _Application, last: str) -> Architecture:
    return Architecture(
        layers=application.layers, last_convolution=last, from_imagenet=application.from_imagenet
    )


_RESNET50: Final = _Application(
    builder=keras.applications.ResNet50, preprocess=keras.applications.resnet.preprocess_input
)
_DENSENET121: Final = _Application(
    builder=keras.applications.DenseNet121, preprocess=keras.applications.densenet.preprocess_input
)
RESNET50: Final = _architecture(_RESNET50, "conv5_block3_out")
DENSENET121: Final = _architecture(_DENSENET121, "relu")
