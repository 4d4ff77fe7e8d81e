"""The networks, under one interface: build by name, then ask for the layers that the explanation needs.

Every network takes images (n, rows, columns, 1) with values 0 to 1 and returns softmax scores of the classes.
It names its last convolution (where Grad-CAM looks) and keeps its logits in a layer of their own (where the
calibration of the manifest applies). Weights are kept as plain arrays (`.npz` without pickle).
"""

from models.networks.architecture import LOGITS, Architecture, Start
from models.networks.catalogue import (
    ARCHITECTURES,
    UnknownNetworkError,
    build,
    features,
    last_convolution,
    start,
    with_activations,
)
from models.networks.engine import fix_computation, keras, tf
from models.networks.weights import WeightsError, load_weights, save_weights

__all__ = [
    "ARCHITECTURES",
    "LOGITS",
    "Architecture",
    "Start",
    "UnknownNetworkError",
    "WeightsError",
    "build",
    "features",
    "fix_computation",
    "keras",
    "last_convolution",
    "load_weights",
    "save_weights",
    "start",
    "tf",
    "with_activations",
]
