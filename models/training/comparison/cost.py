"""What one image costs: scores and Grad-CAM in the very call that the node makes."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

import numpy as np

from inference.analysis.classifier import Classifier
from inference.network import manifest as manifests
from inference.network.engine import keras

_PLAIN: Final = "document-cnn-1.2.0"
"""Its manifest stands in for one; nothing of it but the size of the input changes what is computed."""
_READINGS: Final = 9
"""Odd, so that the median is one of them."""
_FIRST: Final = 2
"""Readings that are not counted: memory is taken and caches are filled."""


def seconds_per_image(model: keras.Model, rows: int, columns: int) -> float:
    """Measure the median of some readings of single images, preprocessing not included.

    The threads are those of this process.
    """
    plain = manifests.load(manifests.shipped(_PLAIN))
    classifier = Classifier.of(model, replace(plain, network=model.name, rows=rows, columns=columns), batch=1)
    return of_classifier(classifier)


def of_classifier(classifier: Classifier) -> float:
    """Measure the median of some readings of single images by an opened ``classifier``."""
    image = np.random.default_rng(1).random((1, classifier.rows, classifier.columns, 1), np.float32)
    seconds = []
    for _ in range(_FIRST + _READINGS):
        began = time.perf_counter()
        classifier.read(image)
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds[_FIRST:]))
