"""What is said of a breast never contradicts itself, whatever the scores, the threshold and the shares."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference import decision
from inference.decision import FlagThreshold, Population
from inference.findings import CLASSES, ClassKey

numbers = st.floats(min_value=0, max_value=1, width=32)


@st.composite
def scores(draw):
    """Return four scores that add up to one; a float32 softmax reaches 0 and 1."""
    parts = draw(st.tuples(*[st.floats(min_value=0, max_value=1)] * 4).filter(lambda four: sum(four) > 0.1))
    return tuple(part / sum(parts) for part in parts)


@st.composite
def shares(draw):
    parts = draw(st.tuples(*[st.floats(min_value=0.001, max_value=1)] * 4))
    return tuple(part / sum(parts) for part in parts)


views = st.lists(st.tuples(st.sampled_from(["CC", "MLO"]), scores()), min_size=1, max_size=6)
thresholds = st.floats(min_value=0.0001, max_value=1).map(lambda value: FlagThreshold(value=value, source=""))


@given(views, st.randoms())
def test_the_order_of_the_images_says_nothing(images, random):
    shuffled = list(images)
    random.shuffle(shuffled)
    assert decision.breast_scores(shuffled) == decision.breast_scores(images)


@given(views)
def test_scores_of_a_breast_are_scores(images):
    decided = decision.breast_scores(images)
    assert math.isclose(sum(decided), 1, abs_tol=1e-9)
    assert all(0 <= score <= 1 for score in decided)


@given(scores(), st.integers(1, 4), st.integers(1, 4))
def test_views_that_agree_are_the_breast(score, first, second):
    images = [("CC", score)] * first + [("MLO", score)] * second
    assert decision.breast_scores(images) == pytest.approx(score, abs=1e-9)


@given(scores(), scores(), st.integers(1, 5))
def test_a_repeated_view_counts_once(cc, mlo, times):
    repeated = decision.breast_scores([*[("CC", cc)] * times, ("MLO", mlo)])
    assert repeated == pytest.approx(decision.breast_scores([("CC", cc), ("MLO", mlo)]), abs=1e-9)


@given(scores(), thresholds, st.none() | shares())
def test_label_and_map_follow_the_flag(breast, threshold, site):
    decided = decision.decide(breast, threshold, site)
    assert (decided.label is ClassKey.MALIGNANT) == decided.flagged
    assert (decided.explained is ClassKey.MALIGNANT) == decided.flagged
    assert decided.flagged == (breast[3] >= threshold.value)
    assert decided.explained is not ClassKey.NORMAL
    if decided.label is not ClassKey.NORMAL:
        assert decided.explained is decided.label
    if not decided.flagged:
        assert decided.scores[CLASSES.index(decided.label)] == max(decided.scores[:3])


@given(scores(), thresholds, shares())
def test_shares_move_neither_the_flag_nor_its_meaning(breast, threshold, site):
    plain, moved = decision.decide(breast, threshold), decision.decide(breast, threshold, site)
    assert moved.flagged == plain.flagged
    assert moved.network_malignant == plain.network_malignant
    if moved.flagged:
        assert moved.malignant >= moved.shown_threshold - 1e-12
    else:
        assert moved.malignant <= moved.shown_threshold + 1e-12


@given(scores(), scores(), shares())
def test_shares_keep_the_order_of_malignant_scores(score, other_score, site):
    lower, upper = sorted((score, other_score), key=lambda four: four[3])
    assert decision.moved(lower, site)[3] <= decision.moved(upper, site)[3] + 1e-12
    assert math.isclose(sum(decision.moved(score, site)), 1, abs_tol=1e-9)


@given(scores())
def test_shares_that_the_network_expects_change_nothing(score):
    assert decision.moved(score, (0.25, 0.25, 0.25, 0.25)) == pytest.approx(score, abs=1e-9)


@given(scores(), scores(), thresholds)
def test_mirrored_sides_are_mirrored(right, left, threshold):
    first, second = decision.decide(right, threshold), decision.decide(left, threshold)
    assert decision.difference(first, second) == -decision.difference(second, first)
    assert decision.higher([first, second]).malignant == decision.higher([second, first]).malignant
    assert decision.higher([first, second]).flagged == (first.flagged or second.flagged)


@given(scores(), st.lists(numbers, min_size=1, max_size=50))
def test_the_percentile_is_the_share_of_lower_examinations(breast, population):
    population_known = Population(scores=tuple(sorted(population)))
    decided = decision.decide(
        breast, FlagThreshold(value=0.5, source="", population=population_known)
    ).percentile
    assert decided == 100 * sum(score < breast[3] for score in population) // len(population)
