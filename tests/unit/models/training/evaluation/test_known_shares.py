"""Scores moved to the shares of the classes that a site has."""

import numpy as np
import pytest

from models.training.evaluation import labelling, predictions, scored
from models.training.evaluation.calibration import Method
from tests.support.predicted import LABELS, image


def skewed(folds=(0, 1), noise=0.8):
    """Predict weakly for a source of which nine in ten images are Benign without callback."""
    generator = np.random.default_rng(5)
    kinds = [2] * 90 + [0, 1, 3, 3] * 3
    examples = tuple(image(LABELS[kind], patient=str(number)) for number, kind in enumerate(kinds))
    logits = generator.normal(scale=noise, size=(len(kinds), 4)) + 0.5 * np.eye(4)[kinds]
    fold_numbers = np.array([folds[number % len(folds)] for number in range(len(kinds))])
    table = predictions.Predictions(examples=examples, folds=fold_numbers, logits=logits)
    return scored.score(table, Method.TEMPERATURE, resamples=40)[1]


def test_moved_scores_are_those_of_bayes():
    moved = labelling.moved(np.array([[0.5, 0.3, 0.2]]), np.array([0.2, 0.2, 0.6]))
    assert moved == pytest.approx(np.array([[0.10, 0.06, 0.12]]) / 0.28)


def test_known_shares_say_what_the_class_mix_costs():
    part = skewed()
    figures = labelling.with_known_shares(part)
    before = (part.honest.argmax(axis=1) == part.predictions.targets.argmax(axis=1)).mean()
    assert before < 0.75 < figures.accuracy.value


def test_the_fold_itself_tells_nothing_about_its_shares(monkeypatch):
    remarks = []
    monkeypatch.setattr(labelling, "moved", lambda scores, shares: remarks.append(shares) or scores)
    labelling.with_known_shares(part := skewed())
    targets, folds = part.predictions.targets, part.predictions.folds
    for fold, shares, for_malignant in zip((0, 1), remarks[::2], remarks[1::2], strict=True):
        other_folds = targets[folds != fold].sum(axis=0) + 1
        assert shares == pytest.approx(other_folds / other_folds.sum())
        malignant = targets[folds != fold, 3]
        assert for_malignant[3] == pytest.approx((malignant.sum() + 1) / (len(malignant) + 2))
        assert for_malignant.sum() == pytest.approx(1)


def test_one_fold_alone_has_no_other_to_learn_from():
    assert labelling.with_known_shares(skewed(folds=(0,))) is None
