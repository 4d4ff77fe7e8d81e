"""Thresholds as people see them, and how far a population must move to count as another one."""

import pytest

from inference import scanner_calibration

HUNDRED = [number / 100 for number in range(100)]
TWICE = sorted(HUNDRED * 2)


def test_ten_of_a_hundred_are_flagged():
    threshold = scanner_calibration.proposed_threshold(HUNDRED, 0.10)
    assert threshold == 0.9
    assert scanner_calibration.share_flagged(HUNDRED, threshold) == 0.10


def test_a_threshold_has_as_few_digits_as_tell_the_examinations_apart():
    population = [0.1] * 180 + [0.123456789] * 20
    assert scanner_calibration.proposed_threshold(population, 0.10) == 0.12


@pytest.mark.parametrize("score", [0.0, 0.5, 1.0])
def test_nobody_is_flagged_where_all_score_alike(score):
    threshold = scanner_calibration.proposed_threshold([score] * 200, 0.10)
    assert scanner_calibration.share_flagged([score] * 200, threshold) == 0


def test_the_limit_of_drift_is_for_200_against_200_as_documented():
    drift = scanner_calibration.drift(TWICE, TWICE)
    assert drift.limit == pytest.approx(0.195, abs=0.001)
    assert not drift.drifted


def test_a_scanner_whose_scores_have_risen_has_drifted():
    risen = sorted(min(1.0, score + 0.3) for score in TWICE)
    drift = scanner_calibration.drift(risen, TWICE)
    assert drift.distance == pytest.approx(0.3, abs=0.02)
    assert drift.drifted
