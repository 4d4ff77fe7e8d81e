"""What training minimises: the cross-entropy of partial labels, balanced within and between scanners.

The share that each class has on the image's own scanner (`models.training.images.balance`) is added, as a
logarithm, to the logits while training (logit adjustment, Menon et al. 2021).
The network gains nothing from recognising the scanner: what that says is given to it already. A class that a
scanner does not have at all is thereby left out of the softmax for its images.

Whole images are asked three things at once: which class; whether malignant or not, weighed anew for that, as
rare benign labels would otherwise outweigh it; and, where lesions are marked, which places show one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from inference.findings import CLASSES, ClassKey
from inference.network.engine import tf
from models.training.images.lesion_map import HEALTHY, LESION

NORMAL: Final = CLASSES.index(ClassKey.NORMAL)
MALIGNANT: Final = CLASSES.index(ClassKey.MALIGNANT)
PLACE_SHARE: Final = 0.5
"""What the places of an image weigh beside the image itself."""


def whole_loss(  # noqa: PLR0917 - the columns of a batch
    outputs: Sequence[tf.Tensor],
    target: tf.Tensor,
    log_share: tf.Tensor,
    weight: tf.Tensor,
    malignant_weight: tf.Tensor,
    places: tf.Tensor,
) -> tf.Tensor:
    """Add up what a whole image is asked: its class, whether it is malignant, and where its lesions are.

    Parameters
    ----------
    outputs
        Logits (n, classes), and those of each place (n, rows, columns, classes).
    target, log_share, weight
        As for `loss`; ``malignant_weight`` as ``weight``, for the second question.
    places
        From `models.training.images.lesion_map`: (n, rows, columns).
    """
    logits, place_logits = outputs
    is_malignant = target[:, MALIGNANT:] > 0
    malignant = tf.one_hot(MALIGNANT, len(CLASSES))
    two_classes = tf.where(is_malignant, malignant, 1 - malignant)
    return (
        loss(logits, target, log_share, weight)
        + loss(logits, two_classes, log_share, malignant_weight)
        + PLACE_SHARE * _place_loss(place_logits, target, places)
    )


def _place_loss(place_logits: tf.Tensor, target: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of places: of each image the mean over lesions and that over healthy places, added."""
    log_probability = tf.nn.log_softmax(place_logits)
    closed = tf.where(target > 0, 0.0, -np.inf)[:, tf.newaxis, tf.newaxis]
    lesion = tf.cast(places == LESION, tf.float32)
    healthy = tf.cast(places == HEALTHY, tf.float32)
    return -tf.reduce_mean(
        _mean_of(tf.reduce_logsumexp(log_probability + closed, axis=-1), lesion)
        + _mean_of(log_probability[..., NORMAL], healthy)
    )


def _mean_of(values: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
    """Mean of each image's chosen places; 0 where there is none."""
    return tf.math.divide_no_nan(
        tf.reduce_sum(values * chosen, axis=(1, 2)), tf.reduce_sum(chosen, axis=(1, 2))
    )


def loss(logits: tf.Tensor, target: tf.Tensor, log_share: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """Weighted mean of minus the logarithm of the probability that the label's classes have together.

    Parameters
    ----------
    logits, target, log_share
        Shape (n, classes); ``target`` is 1 for each class that the label leaves open, else 0.
    weight
        Shape (n,).
    """
    log_probability = tf.nn.log_softmax(logits + log_share)
    closed = tf.where(target > 0, 0.0, -np.inf)
    return -tf.reduce_mean(weight * tf.reduce_logsumexp(log_probability + closed, axis=-1))
