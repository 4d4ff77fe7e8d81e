"""Figures of merit against values known by hand."""

import numpy as np
import pytest

from models.training import measures


def test_auc_counts_ordered_pairs_and_halves_ties():
    positive = np.array([True, True, False, False])
    assert measures.auc(positive, np.array([0.9, 0.5, 0.5, 0.1])) == pytest.approx(3.5 / 4)
    assert np.isnan(measures.auc(np.array([True, True]), np.array([0.1, 0.2])))


def test_the_log_loss_of_a_partial_label_adds_probabilities_up():
    scores = np.array([[0.2, 0.3, 0.4, 0.1]])
    assert measures.log_loss(scores, np.array([[1, 0, 1, 0]])) == pytest.approx(-np.log(0.6))


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(true_temperature):
    generator = np.random.default_rng(2)
    logits = generator.normal(0, 2, (20_000, 4))
    chances = measures.softmax(logits, true_temperature)
    drawn = (generator.random((len(chances), 1)) > chances.cumsum(axis=1)).sum(axis=1)
    found = measures.fit_temperature(logits, np.eye(4)[np.minimum(drawn, 3)])
    assert found == pytest.approx(true_temperature, rel=0.05)


def test_the_operating_point_is_the_highest_that_reaches_the_sensitivity():
    scores = np.arange(1, 21) / 20
    point = measures.operating_point(scores, 0.9)
    assert point == pytest.approx(0.15)
    assert (scores >= point).mean() >= 0.9 > (scores > point).mean()


def test_the_interval_draws_patients_not_images():
    """Ten images of each of 20 patients say no more than one of each."""
    values = np.random.default_rng(3).normal(size=20)
    patients = [str(number) for number in range(20)]
    once = measures.with_interval(
        lambda rows: float(values[rows].mean()), patients, seed=1, complete=lambda _: True
    )
    tenfold = np.repeat(values, 10)
    ten = measures.with_interval(
        lambda rows: float(tenfold[rows].mean()),
        [patient for patient in patients for _ in range(10)],
        seed=1,
        complete=lambda _: True,
    )
    assert ten.value == pytest.approx(once.value)
    assert (ten.low, ten.high) == pytest.approx((once.low, once.high), abs=0.05)
    assert once.low < once.value < once.high


def test_draws_without_a_class_are_drawn_again():
    kinds = np.array([1, 0, 0, 0])
    seen = []

    def figure(rows):
        seen.append(set(kinds[rows]))
        return 0.0

    measures.with_interval(figure, list("abcd"), seed=1, complete=lambda rows: len(set(kinds[rows])) == 2)
    assert all(drawn == {0, 1} for drawn in seen)
