"""Grad-CAM (Selvaraju et al. 2017): where the network looked for one class, at its last convolution.

Pure TensorFlow functions without state, traced into the classifier's one compiled call.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from inference.findings import CLASSES, ClassKey
from inference.network.engine import tf

Tensor: TypeAlias = Any
"""A symbolic tensor; TensorFlow ships no types."""

_NORMAL: Final = CLASSES.index(ClassKey.NORMAL)
_MALIGNANT: Final = CLASSES.index(ClassKey.MALIGNANT)


def explained_class(scores: Tensor, operating_point: float) -> tuple[Tensor, Tensor]:
    """Choose what is explained: Malignant at the operating point, else the most probable class but Normal.

    Returns
    -------
    tuple
        Index of the class (n,), and whether the malignant score reaches ``operating_point`` (n,).
    """
    # Malignant first, though another class may be likelier: the reader must see why an image is flagged.
    reached = scores[:, _MALIGNANT] >= operating_point
    is_normal = tf.range(len(CLASSES)) == _NORMAL
    # -1 lies below every softmax score: Normal never wins, a map of where nothing is says nothing.
    without_normal = tf.where(is_normal, tf.constant(-1.0, scores.dtype), scores)
    likeliest = tf.argmax(without_normal, axis=-1, output_type=tf.int32)
    return tf.where(reached, _MALIGNANT, likeliest), reached


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
