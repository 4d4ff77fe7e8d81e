"""What a network has to say about itself so that it can be built by name and explained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

LOGITS: Final = "logits"
"""Name of the layer before the softmax, in every network."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """How one network is built, and where its explanation is read."""

    layers: Callable[[Any, int], Any]
    """Takes the input tensor and the number of classes, returns the logits tensor."""
    last_convolution: str
    """Name of the layer that gives the activations of the last convolution, which Grad-CAM weighs."""
