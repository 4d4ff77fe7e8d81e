"""What training minimises: the cross-entropy of partial labels, balanced within and between scanners.

Three things are done so that the scanner tells the network nothing:

- Each label of a scanner (source and device) weighs as much as its other labels (class weights, up to a
  limit), and a scanner with many images weighs less per image than one with few.
- The share that each class then has on the image's own scanner is added, as a logarithm, to the logits while
  training. The network gains nothing from recognising the scanner: what that says is given to it already.
- A class that a scanner does not have at all is thereby left out of the softmax for its images.

A label that leaves the class open counts in these shares as the certain labels of its source are divided.

Whole images are asked three things at once: which class; whether malignant or not, weighed anew for that, as
rare benign labels would otherwise outweigh it; and, where lesions are marked, which places show one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from inference.findings import CLASSES, ClassKey
from inference.network.engine import tf
from models.training.images.lesion_map import HEALTHY, LESION
from models.training.sources.labels import Example, Target

HEAVIEST: Final = 5.0
"""A rare label weighs at most this many times an image of a scanner with evenly spread labels."""
_NORMAL: Final = CLASSES.index(ClassKey.NORMAL)
_MALIGNANT: Final = CLASSES.index(ClassKey.MALIGNANT)
_PLACE_SHARE: Final = 0.5
"""What the places of an image weigh beside the image itself."""
_ABSENT: Final = 1e-4
"""Share that stands for a class that the scanner does not have."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Balance:
    """Per example, in the order given."""

    weight: NDArray[np.float32]
    """Shape (n,); mean 1."""
    malignant_weight: NDArray[np.float32]
    """The same where Malignant and all else are the only two labels."""
    log_share: NDArray[np.float32]
    """Shape (n, classes): logarithm of each class's weighted share on the example's scanner."""


def balance(examples: Sequence[Example]) -> Balance:
    """Weigh ``examples``, all of them training examples."""
    scanners = [example.scanner for example in examples]
    weight = _weights(scanners, [example.label for example in examples])
    shares = {scanner: np.zeros(len(CLASSES)) for scanner in scanners}
    expected = _expected(examples)
    for scanner, example, its in zip(scanners, examples, weight, strict=True):
        shares[scanner] += its * expected[example.source, example.target]
    log_shares = {
        scanner: np.log(np.maximum(share / share.sum(), _ABSENT)) for scanner, share in shares.items()
    }
    images = Counter(scanners)
    fewer = 1 / np.sqrt([images[scanner] for scanner in scanners])
    malignant = _weights(scanners, [ClassKey.MALIGNANT in example.classes for example in examples])
    return Balance(
        weight=_of_mean_one(weight * fewer),
        malignant_weight=_of_mean_one(malignant * fewer),
        log_share=np.stack([log_shares[example.scanner] for example in examples]).astype(np.float32),
    )


def _expected(examples: Sequence[Example]) -> dict[tuple[str, Target], NDArray[np.float64]]:
    """Divide each label that leaves the class open as the certain labels of its source are, or of all.

    Halves would promise a scanner more of the rarer class than it has, and the network would have to know the
    scanner to make up for it.
    """
    certain = Counter((its.source, its.target) for its in examples if sum(its.target) == 1)
    of_all = Counter[Target]()
    for (_, target), images in certain.items():
        of_all[target] += images

    def divided(source: str, target: Target) -> NDArray[np.float64]:
        own = np.array(target, float)
        each = [tuple(row) for row in np.eye(len(CLASSES))]
        inside = own * [certain[source, one] for one in each]
        anywhere = own * [of_all[one] for one in each]
        shares = next(part for part in (inside, anywhere, own) if part.any())
        return np.asarray(shares / shares.sum())

    return {its: divided(*its) for its in {(example.source, example.target) for example in examples}}


def _weights(scanners: Sequence[Hashable], labels: Sequence[Hashable]) -> NDArray[np.float64]:
    """Weigh each label of a scanner alike, up to a limit; the mean on each scanner is 1 without the limit."""
    images = Counter(scanners)
    with_label = Counter(zip(scanners, labels, strict=True))
    kinds = Counter(scanner for scanner, _ in with_label)
    return np.array(
        [
            min(images[scanner] / (kinds[scanner] * with_label[scanner, label]), HEAVIEST)
            for scanner, label in zip(scanners, labels, strict=True)
        ]
    )


def _of_mean_one(weight: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(weight / weight.mean(), np.float32)


def whole_loss(  # noqa: PLR0917 - the columns of a batch
    outputs: Sequence[Any],
    target: Any,  # noqa: ANN401 - TensorFlow ships no types
    log_share: Any,  # noqa: ANN401
    weight: Any,  # noqa: ANN401
    malignant_weight: Any,  # noqa: ANN401
    places: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
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
    is_malignant = target[:, _MALIGNANT:] > 0
    malignant = tf.one_hot(_MALIGNANT, len(CLASSES))
    either = tf.where(is_malignant, malignant, 1 - malignant)
    return (
        loss(logits, target, log_share, weight)
        + loss(logits, either, log_share, malignant_weight)
        + _PLACE_SHARE * _place_loss(place_logits, target, places)
    )


def _place_loss(place_logits: Any, target: Any, places: Any) -> Any:  # noqa: ANN401 - TensorFlow ships no types
    """Cross-entropy of places: of each image the mean over lesions and that over healthy places, added."""
    log_probability = tf.nn.log_softmax(place_logits)
    closed = tf.where(target > 0, 0.0, -np.inf)[:, tf.newaxis, tf.newaxis]
    lesion = tf.cast(places == LESION, tf.float32)
    healthy = tf.cast(places == HEALTHY, tf.float32)
    return -tf.reduce_mean(
        _mean_of(tf.reduce_logsumexp(log_probability + closed, axis=-1), lesion)
        + _mean_of(log_probability[..., _NORMAL], healthy)
    )


def _mean_of(values: Any, chosen: Any) -> Any:  # noqa: ANN401 - TensorFlow ships no types
    """Mean of each image's chosen places; 0 where there is none."""
    return tf.math.divide_no_nan(
        tf.reduce_sum(values * chosen, axis=(1, 2)), tf.reduce_sum(chosen, axis=(1, 2))
    )


def loss(logits: Any, target: Any, log_share: Any, weight: Any) -> Any:  # noqa: ANN401 - TensorFlow ships no types
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
