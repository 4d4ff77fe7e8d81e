"""What training minimises: partial labels, and nothing to gain from the scanner."""

import numpy as np
import pytest

from inference.network.engine import tf
from models.training.images.lesion_map import HEALTHY, LESION, UNKNOWN
from models.training.learning import objective
from tests.support import models  # noqa: F401 - fixes the threads of this process


def loss(logits, target, log_share=0.0, weight=1.0) -> float:
    logits, target = np.atleast_2d(np.float32(logits)), np.atleast_2d(np.float32(target))
    share = np.broadcast_to(np.float32(log_share), logits.shape)
    return float(objective.loss(logits, target, share, np.full(len(logits), weight, np.float32)))


def test_an_exact_label_is_the_plain_cross_entropy():
    logits = np.log([0.1, 0.2, 0.3, 0.4])
    assert loss(logits, [0, 0, 1, 0]) == pytest.approx(-np.log(0.3), rel=1e-5)


def test_a_partial_label_adds_probabilities_up():
    logits = np.log([0.1, 0.2, 0.3, 0.4])
    assert loss(logits, [1, 0, 1, 0]) == pytest.approx(-np.log(0.4), rel=1e-5)


def test_a_partial_label_pulls_at_the_share_of_each_class():
    logits = tf.Variable(np.log([[0.1, 0.2, 0.3, 0.4]]).astype(np.float32))
    with tf.GradientTape() as tape:
        value = objective.loss(logits, tf.constant([[1.0, 0, 1, 0]]), tf.zeros((1, 4)), tf.ones(1))
    np.testing.assert_allclose(tape.gradient(value, logits), [[0.1 - 0.25, 0.2, 0.3 - 0.75, 0.4]], atol=1e-6)


def test_a_class_that_the_scanner_does_not_have_does_not_count():
    share = np.log([1e-4, 1 / 3, 1 / 3, 1 / 3])
    assert loss([9, 0, 0, 0], [0, 0, 0, 1], share) < loss([9, 0, 0, 0], [0, 0, 0, 1])
    assert loss([0, 0, 0, 0], [0, 0, 0, 1], share) == pytest.approx(np.log(3), abs=1e-3)


def test_the_weight_multiplies():
    assert loss([0, 0, 0, 0], [1, 0, 0, 0], weight=3) == pytest.approx(3 * np.log(4), rel=1e-5)


def whole(places, *, target=(0, 0, 0, 1), malignant_weight=0.0, weight=0.0, place_logits=None):
    """Compute the loss of one image whose logits are all alike, and whose places say nothing either."""
    places = np.array([places], np.int8)
    silent = np.zeros((*places.shape, 4), np.float32)
    outputs = tf.zeros((1, 4)), tf.constant(silent if place_logits is None else place_logits)
    weights = (np.float32([value]) for value in (weight, malignant_weight))
    return float(objective.whole_loss(outputs, np.float32([target]), np.zeros((1, 4)), *weights, places))


def test_a_whole_image_is_asked_for_its_class_and_whether_it_is_malignant():
    unknown = [[UNKNOWN, UNKNOWN]]
    assert whole(unknown) == 0
    assert whole(unknown, weight=1) == pytest.approx(np.log(4), rel=1e-5)
    assert whole(unknown, malignant_weight=1) == pytest.approx(np.log(4), rel=1e-5)
    assert whole(unknown, malignant_weight=1, target=(1, 0, 0, 0)) == pytest.approx(np.log(4 / 3), rel=1e-5)


def test_places_are_asked_where_something_is_known_of_them():
    assert whole([[LESION, UNKNOWN]]) == pytest.approx(np.log(4) / 2, rel=1e-5)
    assert whole([[LESION, HEALTHY]]) == pytest.approx(np.log(4), rel=1e-5)
    loss = whole([[LESION, LESION]], target=(0, 1, 1, 0))
    assert loss == pytest.approx(np.log(2) / 2, rel=1e-5)
    right = np.float32([[[[0, 0, 0, 20], [20, 0, 0, 0]]]])
    assert whole([[LESION, HEALTHY]], place_logits=right) == pytest.approx(0, abs=1e-6)
