"""How much each training example counts, and which shares of the classes its scanner has; no TensorFlow here.

- Each label of a scanner (source and device) weighs as much as its other labels (class weights, up to a
  limit), and a scanner with many images weighs less per image than one with few.
- The share that each class then has on the image's own scanner is kept as a logarithm: `objective` adds it to
  the logits while training.

A label that leaves the class open counts in these shares as the certain labels of its source are divided.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.findings import CLASSES, ClassKey
from models.training.sources.labels import Example, Target

HEAVIEST: Final = 5.0
"""A rare label weighs at most this many times an image of a scanner with evenly spread labels."""
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
    for scanner, example, own_weight in zip(scanners, examples, weight, strict=True):
        shares[scanner] += own_weight * expected[example.source, example.target]
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
    certain = Counter((example.source, example.target) for example in examples if sum(example.target) == 1)
    of_all = Counter[Target]()
    for (_, target), images in certain.items():
        of_all[target] += images

    def divided(source: str, target: Target) -> NDArray[np.float64]:
        own = np.array(target, float)
        classes = [tuple(row) for row in np.eye(len(CLASSES))]
        inside = own * [certain[source, single] for single in classes]
        anywhere = own * [of_all[single] for single in classes]
        shares = next(part for part in (inside, anywhere, own) if part.any())
        return np.asarray(shares / shares.sum())

    kinds = {(example.source, example.target) for example in examples}
    return {kind: divided(*kind) for kind in kinds}


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
