"""What training minimises: partial labels, weights, and nothing to gain from the scanner."""

import numpy as np
import pytest

from inference.network.engine import tf
from models.training.images.lesion_map import HEALTHY, LESION, UNKNOWN
from models.training.learning import objective
from models.training.sources.labels import Example
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


def test_an_open_label_is_divided_as_the_certain_ones_of_its_source_are():
    certain = [example(label="Normal")] * 9 + [example(label="Benign without callback")] * 3
    table = [*certain, *[example(device="b", label="Negative")] * 5]
    found = objective.balance(table)
    np.testing.assert_allclose(np.exp(found.log_share[-1]), [0.75, 1e-4, 0.25, 1e-4], rtol=1e-3)


def test_an_open_label_of_a_source_without_certain_ones_is_divided_as_all_others_are():
    table = [
        *[example(source="cbis-ddsm", label="Benign")] * 4,
        example(source="cbis-ddsm", label="Benign without callback"),
        example(source="mini-mias", label="Benign"),
    ]
    found = objective.balance(table)
    np.testing.assert_allclose(np.exp(found.log_share[-1]), [1e-4, 0.8, 0.2, 1e-4], rtol=1e-3)


def test_an_open_label_alone_is_divided_evenly():
    found = objective.balance([example(label="Negative")])
    np.testing.assert_allclose(np.exp(found.log_share[0]), [0.5, 1e-4, 0.5, 1e-4], rtol=1e-3)


def test_a_large_scanner_weighs_less_an_image():
    table = [example("rsna")] * 16 + [example("inbreast")] * 4
    found = objective.balance(table)
    assert found.weight[-1] / found.weight[0] == pytest.approx(2, rel=1e-5)


def test_whether_malignant_is_weighed_apart_from_the_labels():
    table = [example(label=label) for label in ("Normal", "Benign", "Malignant", "Malignant")]
    weight = objective.balance(table).malignant_weight
    assert weight.tolist() == pytest.approx([1, 1, 1, 1])
    assert objective.balance(table).weight.tolist() == pytest.approx([4 / 3, 4 / 3, 2 / 3, 2 / 3])


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
    either = whole([[LESION, LESION]], target=(0, 1, 1, 0))
    assert either == pytest.approx(np.log(2) / 2, rel=1e-5)
    right = np.float32([[[[0, 0, 0, 20], [20, 0, 0, 0]]]])
    assert whole([[LESION, HEALTHY]], place_logits=right) == pytest.approx(0, abs=1e-6)
