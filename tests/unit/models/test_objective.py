"""What training minimises: partial labels, weights, and nothing to gain from the scanner."""

import numpy as np
import pytest

from models.networks import tf
from models.training import objective
from models.training.labels import Example
from tests.support import models  # noqa: F401 - fixes the threads of this process


def example(source="rsna", label="Normal", device="") -> Example:
    return Example(file="", source=source, device=device, patient="p", laterality="L", view="CC", label=label)


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


def test_labels_of_a_scanner_weigh_alike():
    table = [example(label="Normal")] * 6 + [example(label="Malignant")] * 2
    found = objective.balance(table)
    assert found.weight[:6].sum() == pytest.approx(found.weight[6:].sum(), rel=1e-5)
    assert found.weight.mean() == pytest.approx(1)
    np.testing.assert_allclose(np.exp(found.log_share[0]), [0.5, 1e-4, 1e-4, 0.5], rtol=1e-4)


def test_a_rare_label_has_a_limit_and_its_share_says_so():
    table = [example(label="Normal")] * 99 + [example(label="Malignant")]
    found = objective.balance(table)
    normal, malignant = 100 / (2 * 99), objective.HEAVIEST
    assert found.weight[99] / found.weight[0] == pytest.approx(malignant / normal, rel=1e-5)
    share = malignant / (99 * normal + malignant)
    assert np.exp(found.log_share[0, 3]) == pytest.approx(share, rel=1e-4)


def test_devices_of_one_source_are_scanners_of_their_own():
    table = [example(device="a", label="Normal"), example(device="b", label="Malignant")]
    found = objective.balance(table)
    np.testing.assert_allclose(
        np.exp(found.log_share), [[1, 1e-4, 1e-4, 1e-4], [1e-4, 1e-4, 1e-4, 1]], rtol=1e-3
    )


def test_a_large_scanner_weighs_less_an_image():
    table = [example("rsna")] * 16 + [example("inbreast")] * 4
    found = objective.balance(table)
    assert found.weight[-1] / found.weight[0] == pytest.approx(2, rel=1e-5)
