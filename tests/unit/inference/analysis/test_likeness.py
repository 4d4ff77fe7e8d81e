"""How far pictures lie from those that are known, in plain numbers."""

import numpy as np
import pytest

from inference.analysis import gate


def examples(count=400, seed=1):
    """Points on a flat sheet of 5 directions in 20 dimensions, with a little noise."""
    generator = np.random.default_rng(seed)
    sheet = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 5)))[0].T
    return generator.normal(size=(count, 5)) @ sheet * 3 + generator.normal(0, 0.1, (count, 20)) + 7


def test_the_known_kind_has_distance_one_on_average():
    spread = gate.fit(examples(), components=5)
    assert spread.distances(examples()).mean() == pytest.approx(1, rel=1e-6)
    assert spread.distances(examples(seed=2)).mean() == pytest.approx(1, rel=0.15)


def test_distance_grows_along_the_sheet_and_much_faster_away_from_it():
    spread = gate.fit(examples(), components=5)
    middle, example = examples().mean(axis=0), examples()[0]
    away = np.random.default_rng(3).normal(size=20)
    points = np.stack([middle, middle + 2 * (example - middle), middle + away])
    inside, further, far = spread.distances(points)
    assert inside < 0.1 < further < far
    assert far > 20


def test_a_feature_that_never_varies_is_no_division_by_zero():
    features = examples()
    features[:, 4] = 1
    spread = gate.fit(features, components=5)
    assert np.isfinite(spread.distances(features)).all()


def test_too_few_pictures_are_refused():
    with pytest.raises(gate.TooFewError, match="too few"):
        gate.fit(examples(count=5), components=5)
