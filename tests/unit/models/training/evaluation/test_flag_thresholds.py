"""Where a breast is flagged: chosen by folds, and right for each digital source."""

import numpy as np
import pytest

from models.training.evaluation import flag_thresholds
from models.training.evaluation.measures import softmax
from tests.support import predicted


def chosen(**words):
    table = predicted.table(patients=400, **words)
    breasts = flag_thresholds.breasts(table, softmax(table.logits, 1.0))
    return breasts, flag_thresholds.choose(breasts)


def test_nine_in_ten_normal_breasts_of_each_digital_source_stay_below():
    breasts, points = chosen()
    point = points["specificity-90"]
    sources = np.array(breasts.sources)
    below = {
        name: np.mean(breasts.scores[breasts.normal & (sources == name)] < point.threshold)
        for name in flag_thresholds.DIGITAL
        if np.any(breasts.normal & (sources == name))
    }
    assert 0.9 <= min(below.values()) < 0.92
    assert all(share > 0.85 for share in point.specificity.values())


def test_nine_in_ten_malignant_breasts_reach_the_other_point():
    breasts, points = chosen()
    reached = breasts.scores[breasts.malignant] >= points["sensitivity-90"].threshold
    assert 0.9 <= reached.mean() < 0.94
    assert points["sensitivity-90"].threshold < points["specificity-90"].threshold


def test_a_source_keeps_a_tenth_of_its_own_normals_above_its_own_threshold():
    table = predicted.table(patients=400)
    table.logits[np.array([example.source == "rsna" for example in table.examples]), 3] += 2.0
    own = flag_thresholds.on_own_normals(flag_thresholds.breasts(table, softmax(table.logits, 1.0)))
    assert own["rsna"].threshold > own["inbreast"].threshold
    for point in own.values():
        assert point.normal_breasts == 200
        assert point.normal_flagged == pytest.approx(0.1, abs=0.03)
        assert point.malignant_breasts == 100
        assert point.malignant_flagged > 0.3


def test_views_of_a_breast_are_one_row_and_its_label_is_the_worst():
    breasts, _ = chosen()
    assert len(breasts.scores) == 800
    assert not np.any(breasts.normal & breasts.malignant)


def test_a_healthy_woman_is_flagged_by_either_breast():
    breasts, points = chosen()
    point = points["specificity-90"]
    women = {
        name: breasts.women[breasts.normal & (np.array(breasts.sources) == name)] for name in breasts.sources
    }
    for name, share in point.healthy_women_flagged.items():
        assert 0 < point.healthy_women[name] <= len(set(women[name]))
        assert share >= 0
    assert sum(point.normal_breasts.values()) == breasts.normal.sum()
    assert sum(point.malignant_breasts.values()) == breasts.malignant.sum()
