"""What training minimises: the cross-entropy of partial labels, balanced within and between scanners.

Three things are done so that the scanner tells the network nothing:

- Each label of a scanner (source and device) weighs as much as its other labels (class weights, up to a
  limit), and a scanner with many images weighs less per image than one with few.
- The share that each class then has on the image's own scanner is added, as a logarithm, to the logits while
  training. The network gains nothing from recognising the scanner: what that says is given to it already.
- A class that a scanner does not have at all is thereby left out of the softmax for its images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from inference.findings import CLASSES
from models.networks import tf
from models.training.labels import Example

HEAVIEST: Final = 5.0
"""A rare label weighs at most this many times an image of a scanner with evenly spread labels."""
_ABSENT: Final = 1e-4
"""Share that stands for a class that the scanner does not have."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Balance:
    """Per example, in the order given."""

    weight: NDArray[np.float32]
    """Shape (n,); mean 1."""
    log_share: NDArray[np.float32]
    """Shape (n, classes): logarithm of each class's weighted share on the example's scanner."""


def balance(examples: Sequence[Example]) -> Balance:
    """Weigh ``examples``, all of them training examples."""
    images = Counter(example.scanner for example in examples)
    with_label = Counter((example.scanner, example.label) for example in examples)
    labels = Counter(scanner for scanner, _ in with_label)
    weight = np.empty(len(examples))
    shares = {scanner: np.zeros(len(CLASSES)) for scanner in images}
    for number, example in enumerate(examples):
        scanner, size = example.scanner, images[example.scanner]
        weight[number] = min(size / (labels[scanner] * with_label[scanner, example.label]), HEAVIEST)
        target = np.array(example.target)
        shares[scanner] += weight[number] * target / target.sum()
        weight[number] /= np.sqrt(size)
    log_shares = {
        scanner: np.log(np.maximum(share / share.sum(), _ABSENT)) for scanner, share in shares.items()
    }
    return Balance(
        weight=(weight / weight.mean()).astype(np.float32),
        log_share=np.stack([log_shares[example.scanner] for example in examples]).astype(np.float32),
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
