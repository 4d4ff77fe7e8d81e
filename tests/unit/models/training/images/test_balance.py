"""How much each example counts, and which shares of the classes its scanner has."""

import numpy as np
import pytest

from models.training.images.balance import HEAVIEST, balance
from models.training.sources.labels import Example


def example(source="rsna", label="Normal", device="") -> Example:
    return Example(file="", source=source, device=device, patient="p", laterality="L", view="CC", label=label)


def test_labels_of_a_scanner_weigh_alike():
    table = [example(label="Normal")] * 6 + [example(label="Malignant")] * 2
    weights = balance(table)
    assert weights.weight[:6].sum() == pytest.approx(weights.weight[6:].sum(), rel=1e-5)
    assert weights.weight.mean() == pytest.approx(1)
    np.testing.assert_allclose(np.exp(weights.log_share[0]), [0.5, 1e-4, 1e-4, 0.5], rtol=1e-4)


def test_a_rare_label_has_a_limit_and_its_share_says_so():
    table = [example(label="Normal")] * 99 + [example(label="Malignant")]
    weights = balance(table)
    normal, malignant = 100 / (2 * 99), HEAVIEST
    assert weights.weight[99] / weights.weight[0] == pytest.approx(malignant / normal, rel=1e-5)
    share = malignant / (99 * normal + malignant)
    assert np.exp(weights.log_share[0, 3]) == pytest.approx(share, rel=1e-4)


def test_devices_of_one_source_are_scanners_of_their_own():
    table = [example(device="a", label="Normal"), example(device="b", label="Malignant")]
    weights = balance(table)
    np.testing.assert_allclose(
        np.exp(weights.log_share), [[1, 1e-4, 1e-4, 1e-4], [1e-4, 1e-4, 1e-4, 1]], rtol=1e-3
    )


def test_an_open_label_is_divided_as_the_certain_ones_of_its_source_are():
    certain = [example(label="Normal")] * 9 + [example(label="Benign without callback")] * 3
    table = [*certain, *[example(device="b", label="Negative")] * 5]
    weights = balance(table)
    np.testing.assert_allclose(np.exp(weights.log_share[-1]), [0.75, 1e-4, 0.25, 1e-4], rtol=1e-3)


def test_an_open_label_of_a_source_without_certain_ones_is_divided_as_all_others_are():
    table = [
        *[example(source="cbis-ddsm", label="Benign")] * 4,
        example(source="cbis-ddsm", label="Benign without callback"),
        example(source="mini-mias", label="Benign"),
    ]
    weights = balance(table)
    np.testing.assert_allclose(np.exp(weights.log_share[-1]), [1e-4, 0.8, 0.2, 1e-4], rtol=1e-3)


def test_an_open_label_alone_is_divided_evenly():
    weights = balance([example(label="Negative")])
    np.testing.assert_allclose(np.exp(weights.log_share[0]), [0.5, 1e-4, 0.5, 1e-4], rtol=1e-3)


def test_a_large_scanner_weighs_less_an_image():
    table = [example("rsna")] * 16 + [example("inbreast")] * 4
    weights = balance(table)
    assert weights.weight[-1] / weights.weight[0] == pytest.approx(2, rel=1e-5)


def test_whether_malignant_is_weighed_apart_from_the_labels():
    table = [example(label=label) for label in ("Normal", "Benign", "Malignant", "Malignant")]
    weight = balance(table).malignant_weight
    assert weight.tolist() == pytest.approx([1, 1, 1, 1])
    assert balance(table).weight.tolist() == pytest.approx([4 / 3, 4 / 3, 2 / 3, 2 / 3])
