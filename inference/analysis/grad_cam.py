"""Grad-CAM (Selvaraju et al. 2017): where the network looked for one class, at its last convolution.

Pure TensorFlow functions without state, traced into the classifier's one compiled call.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from inference.network.engine import tf

Tensor: TypeAlias = Any
"""A symbolic tensor; TensorFlow ships no types."""


def grad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Weigh each channel with its mean gradient, add up, keep what speaks for the class.

    Parameters
    ----------
    activations, gradients
        Of the last convolution, and of the explained class's logit with respect to them: (n, h, w, channels).

    Returns
    -------
    Tensor
        (n, h, w), never negative, not normalised.
    """
    # Equation 1 of the paper: a channel counts as much as its gradient, averaged over all places.
    weights = tf.reduce_mean(gradients, axis=(1, 2), keepdims=True)
    # Equation 2: what is negative speaks for other classes, and does not belong in the map.
    return tf.nn.relu(tf.reduce_sum(weights * activations, axis=-1))
