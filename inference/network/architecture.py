"""What a network has to say about itself so that it can be built by name, started and explained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from inference.network.engine import keras

LOGITS: Final = "logits"
"""Name of the layer before the softmax, in every network."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """Which weights a network has before it is trained."""

    origin: str
    """``random``, or which weights and where they are from."""
    reason: str = ""
    """Why it is random where it might have been ImageNet."""

    @property
    def is_random(self) -> bool:
        """Whether nothing has been learned before."""
        return self.origin == RANDOM.origin


RANDOM: Final = Start(origin="random")


def random_start(_model: keras.Model, _file: Path | None) -> Start:
    """Leave the weights as they were drawn."""
    return RANDOM


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """Where what a network concludes from its last convolution begins.

    Grad-CAM weighs each channel of that convolution with its mean gradient. The gradients of what the
    channels are pooled to say that too, and are a hundredth of the size.
    """

    inputs: list[Any]
    """Tensors from which the logits are computed."""
    mean_gradient: Callable[[Sequence[Any]], Any]
    """Takes the gradients of a logit by ``inputs``; returns (n, channels): its gradient by the activations of
    the last convolution, averaged over all places."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """How one network is built and started, and where its explanation is read."""

    layers: Callable[[Any, int], Any]
    """Takes the input tensor and the number of classes, returns the logits tensor."""
    last_convolution: str
    """Name of the layer that gives the activations of the last convolution, which Grad-CAM weighs."""
    judge: str = LOGITS
    """Name of the dense layer that judges what was pooled."""
    head: Callable[[keras.Model], Head] | None = None
    """Opens the head of a model of this network; None where Grad-CAM goes back to the activations."""
    from_imagenet: Callable[[keras.Model, Path | None], Start] = random_start
    """Fills a model of this network with ImageNet's weights, from a file where one is given, if it can."""


def pooled_logits(activations: Any, classes: int) -> Any:  # noqa: ANN401 - Keras tensors are untyped
    """Add what the networks of the literature end with: global average pooling, dropout, one dense layer."""
    x = keras.layers.GlobalAveragePooling2D(name="average")(activations)
    x = keras.layers.Dropout(0.2, name="dropout")(x)
    return keras.layers.Dense(classes, name=LOGITS)(x)
