"""A proposed threshold flags what was asked for at most, and the next lower one would flag more."""

import bisect
import math

from hypothesis import given
from hypothesis import strategies as st

from inference import scanner_calibration

single = st.floats(min_value=0, max_value=1, width=32)
double = st.floats(min_value=0, max_value=1)
few_values = st.sampled_from([0.0, 0.1, 0.5, 0.5000001, 1.0])
populations = st.lists(single | double | few_values, min_size=1, max_size=300).map(sorted)
rates = st.floats(min_value=0.001, max_value=0.5)


@given(population=populations, rate=rates)
def test_no_more_are_flagged_than_wanted_and_no_threshold_flags_more_of_them(population, rate):
    threshold = scanner_calibration.proposed_threshold(population, rate)
    flagged = sum(score >= threshold for score in population)
    most = rate * len(population) + 1e-9
    assert flagged <= most
    assert scanner_calibration.share_flagged(population, threshold) == flagged / len(population)
    next_lower = population[bisect.bisect_left(population, threshold) - 1]
    assert sum(score >= next_lower for score in population) > most


@given(population=populations, share=st.floats(min_value=0, max_value=1))
def test_a_quantile_is_a_score_that_this_share_does_not_exceed(population, share):
    score = scanner_calibration.quantile(population, share)
    assert score in population
    assert bisect.bisect_right(population, score) >= math.floor(share * len(population))


@given(latest=populations, reference=populations)
def test_a_population_is_as_far_from_another_as_that_from_it_and_not_from_itself(latest, reference):
    drift = scanner_calibration.drift(latest, reference)
    back = scanner_calibration.drift(reference, latest)
    assert drift.distance == back.distance
    assert 0 <= drift.distance <= 1
    assert drift.limit == back.limit
    assert scanner_calibration.drift(latest, latest).distance == 0
