"""Figures of merit against values known by hand."""

import numpy as np
import pytest

from models.training.evaluation import measures


def test_the_log_loss_of_a_partial_label_adds_probabilities_up():
    scores = np.array([[0.2, 0.3, 0.4, 0.1]])
    assert measures.log_loss(scores, np.array([[1, 0, 1, 0]])) == pytest.approx(-np.log(0.6))


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(true_temperature):
    generator = np.random.default_rng(2)
    logits = generator.normal(0, 2, (20_000, 4))
    chances = measures.softmax(logits, true_temperature)
    drawn = (generator.random((len(chances), 1)) > chances.cumsum(axis=1)).sum(axis=1)
    temperature = measures.fit_temperature(logits, np.eye(4)[np.minimum(drawn, 3)])
    assert temperature == pytest.approx(true_temperature, rel=0.05)


def test_the_operating_point_is_the_highest_that_reaches_the_sensitivity():
    scores = np.arange(1, 21) / 20
    point = measures.operating_point(scores, 0.9)
    assert point == pytest.approx(0.15)
    assert (scores >= point).mean() >= 0.9 > (scores > point).mean()
