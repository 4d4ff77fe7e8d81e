"""Figures of merit against scikit-learn and values known by hand."""

import numpy as np
import pytest
from sklearn import metrics

from models.training.evaluation import bootstrap, calibration, judged, labelling, points, ranking
from models.training.evaluation.calibration import Method
from models.training.evaluation.points import Rule
from tests.support.predicted import image, table


def weighted_rows(seed, rows=80, ties=False):
    generator = np.random.default_rng(seed)
    score = generator.random(rows).round(1 if ties else 9)
    return generator.random(rows) < 0.4, score, generator.integers(0, 4, (6, rows)).astype(float)


@pytest.mark.parametrize("ties", [False, True])
def test_areas_are_those_of_scikit_learn_with_the_same_weights(ties):
    positive, score, weights = weighted_rows(1, ties=ties)
    measured = ranking.figures(positive, score)(weights)
    for row, weight in zip(measured, weights, strict=True):
        assert row[0] == pytest.approx(metrics.roc_auc_score(positive, score, sample_weight=weight))
        assert row[1] == pytest.approx(metrics.average_precision_score(positive, score, sample_weight=weight))


def test_points_on_the_curve_are_the_best_that_keep_the_other_side():
    positive, score, weights = weighted_rows(2)
    for row, weight in zip(ranking.figures(positive, score)(weights), weights, strict=True):
        alarms, hits, _ = metrics.roc_curve(positive, score, sample_weight=weight, drop_intermediate=False)
        assert row[2] == pytest.approx(hits[alarms <= 0.11 + 1e-9].max())
        assert row[3] == pytest.approx((1 - alarms)[hits >= 0.85 - 1e-9].max())


def test_a_draw_without_one_kind_has_no_area():
    figures = ranking.figures(np.array([True, False]), np.array([0.9, 0.1]))
    assert np.isnan(figures(np.array([[1.0, 0.0]]))).all()
    assert figures(np.array([[1.0, 1.0]]))[0, 0] == 1


def test_class_figures_are_those_of_scikit_learn_with_the_same_weights():
    generator = np.random.default_rng(3)
    truth, predicted = generator.integers(0, 3, 90), generator.integers(0, 4, 90)
    weights = generator.integers(1, 4, (4, 90)).astype(float)
    measured = labelling.figures(truth, predicted, 4)(weights)
    for row, weight in zip(measured, weights, strict=True):
        parts = metrics.precision_recall_fscore_support(
            truth, predicted, labels=[0, 1, 2], sample_weight=weight, zero_division=np.nan
        )
        assert row[0] == pytest.approx(metrics.accuracy_score(truth, predicted, sample_weight=weight))
        assert row[1] == pytest.approx(parts[1].mean())
        assert row[2] == pytest.approx(parts[2].mean())
        np.testing.assert_allclose(row[3:].reshape(3, 3), np.stack(parts[:3], axis=1))


def test_a_class_that_is_never_said_has_no_precision_but_a_recall_and_f1_of_zero():
    figures = labelling.figures(np.array([0, 3]), np.array([0, 0]), 4)(np.ones((1, 2)))[0]
    by_class = dict(zip(labelling.names([0, 3]), figures[3:], strict=True))
    assert np.isnan(by_class[3, "precision"])
    assert (by_class[3, "recall"], by_class[3, "f1"]) == (0, 0)


def test_the_calibration_error_of_sure_and_half_right_scores():
    confidence, right = np.array([0.9, 0.9]), np.array([True, False])
    assert calibration.error_of(confidence, right) == pytest.approx(0.4)
    assert calibration.bins(confidence, right) == ((2, 0.9, 0.5),)


def test_the_error_of_perfect_scores_is_what_chance_gives():
    generator = np.random.default_rng(6)
    scores = generator.random(300)
    errors = [calibration.error_of(scores, generator.random(300) < scores) for _ in range(60)]
    assert calibration.noise(scores, seed=1) == pytest.approx(np.mean(errors), rel=0.1)


def test_a_bias_is_found_where_classes_were_shifted():
    generator = np.random.default_rng(7)
    logits = generator.normal(0, 2, (20_000, 4))
    shift = np.array([0.5, -0.3, -0.4, 0.2])
    chances = calibration.Calibration(temperature=2.0, bias=tuple(shift)).scores(logits)
    drawn = np.minimum((generator.random((len(chances), 1)) > chances.cumsum(axis=1)).sum(axis=1), 3)
    measured = calibration.fit(logits, np.eye(4)[drawn], Method.VECTOR)
    assert measured.temperature == pytest.approx(2.0, rel=0.05)
    np.testing.assert_allclose(measured.bias, shift, atol=0.06)


def test_classes_alike_are_fitted_whatever_their_frequencies_were():
    """Logits that differ by their class alone come out so, though one class was drawn far more often."""
    generator = np.random.default_rng(7)
    truth = np.repeat(np.arange(4), (40_000, 4000, 4000, 4000))
    logits = np.log([0.6, 0.6, 0.8, 0.5]) + generator.normal(0, 1, (len(truth), 4)) + np.eye(4)[truth]
    targets = np.eye(4)[truth]
    open_ones = np.tile([1.0, 0, 1, 0], (5000, 1))
    doubled = np.concatenate([logits, logits[:5000]]), np.concatenate([targets, open_ones])
    measured = calibration.fit(*doubled, Method.ALIKE)
    assert measured == calibration.fit(logits, targets, Method.ALIKE)
    bias = -np.log([0.6, 0.6, 0.8, 0.5])
    np.testing.assert_allclose(measured.bias, bias - bias.mean(), atol=0.06)
    natural = calibration.fit(logits, targets, Method.VECTOR)
    assert natural.bias[0] > measured.bias[0] + 1


def test_a_bias_for_malignant_alone_leaves_the_others_in_their_order():
    generator = np.random.default_rng(7)
    truth = np.repeat(np.arange(4), (4000, 4000, 4000, 40_000))
    logits = np.log([1, 1, 1, 0.5]) + generator.normal(0, 1, (len(truth), 4)) + np.eye(4)[truth]
    measured = calibration.fit(logits, np.eye(4)[truth], Method.MALIGNANT_ALIKE)
    assert len(set(measured.bias[:3])) == 1
    np.testing.assert_allclose(measured.bias[3] - measured.bias[0], np.log(2), atol=0.08)
    assert measured.temperature == pytest.approx(1, rel=0.05)


def test_classes_alike_need_no_certain_label():
    open_ones = np.tile([1.0, 0, 1, 0], (50, 1))
    logits = np.random.default_rng(3).normal(0, 1, (50, 4))
    measured = calibration.fit(logits, open_ones, Method.ALIKE)
    assert measured == calibration.fit(logits, open_ones, Method.VECTOR)


def test_a_class_that_never_occurs_gets_a_bias_that_a_manifest_can_hold():
    generator = np.random.default_rng(3)
    targets = np.eye(4)[generator.integers(3, size=300)]
    for method in (Method.VECTOR, Method.ALIKE):
        measured = calibration.fit(generator.normal(0, 1, (300, 4)), targets, method)
        assert min(measured.bias) == measured.bias[3] > -20


def test_cross_fitting_never_uses_the_fold_that_it_calibrates():
    of_source = table(patients=40, sources=("inbreast",))
    before = calibration.cross_fitted(of_source, Method.TEMPERATURE)
    changed = of_source.logits.copy()
    changed[of_source.folds == 0] = np.roll(changed[of_source.folds == 0], 1, axis=1)
    after = calibration.cross_fitted(
        type(of_source)(examples=of_source.examples, folds=of_source.folds, logits=changed),
        Method.TEMPERATURE,
    )
    np.testing.assert_allclose(after[of_source.folds == 0], np.roll(before[of_source.folds == 0], 1, axis=1))
    assert not np.allclose(after[of_source.folds == 1], before[of_source.folds == 1])


def test_a_fold_that_is_alone_is_calibrated_by_its_other_patients():
    of_source = table(patients=40, sources=("inbreast",))
    alone = of_source.subset(of_source.folds == 2)
    assert calibration.cross_fitted(alone, Method.TEMPERATURE).sum(axis=1) == pytest.approx(1)


def test_the_two_points_keep_what_they_promise():
    generator = np.random.default_rng(8)
    malignant = generator.random(500) < 0.4
    score = np.clip(generator.normal(0.4 + 0.2 * malignant, 0.15), 0, 1)
    sensitive = points.choose(Rule.SENSITIVITY, malignant, score)
    specific = points.choose(Rule.SPECIFICITY, malignant, score)
    assert (score[malignant] >= sensitive).mean() >= 0.9
    assert (score[~malignant] < specific).mean() >= 0.89
    assert sensitive < specific
    sensitivity, specificity = points.figures(malignant, score, specific)(np.ones((1, 500)))[0]
    assert sensitivity == pytest.approx((score[malignant] >= specific).mean())
    assert specificity == pytest.approx((score[~malignant] < specific).mean())


def test_equal_scores_stay_below_the_specific_point_together():
    malignant = np.array([False] * 9 + [True])
    assert points.choose(Rule.SPECIFICITY, malignant, np.full(10, 0.5)) == 0.5001


def test_without_malignant_images_there_is_no_point():
    with pytest.raises(points.PointError, match="malignant"):
        points.choose(Rule.SENSITIVITY, np.array([False, False]), np.array([0.1, 0.2]))


def test_a_breast_is_labelled_by_its_worst_view_and_scored_by_the_mean_of_all():
    examples = (
        image("Normal", view="CC"),
        image("Malignant", view="MLO"),
        image("Benign", laterality="R"),
    )
    scores = np.array([[0.6, 0.1, 0.1, 0.2], [0.2, 0.3, 0.1, 0.4], [0.7, 0.1, 0.1, 0.1]])
    left, right = 0, 1
    breasts = judged.breasts(examples, scores)
    assert [example.label for example in breasts.examples] == ["Malignant", "Benign"]
    mean = np.sqrt(scores[0] * scores[1])
    np.testing.assert_allclose(breasts.scores[left], mean / mean.sum())
    assert breasts.predicted.tolist() == [0, 0]
    assert breasts.views.tolist() == [2, 1]
    assert breasts.confidence[right] == pytest.approx(0.7)


def test_repeats_of_a_view_count_once():
    examples = (image("Benign", view="CC"), image("Benign", view="CC"), image("Benign", view="MLO"))
    scores = np.array([[0.5, 0.1, 0.0, 0.4], [0.5, 0.1, 0.0, 0.4], [0.1, 0.6, 0.1, 0.2]])
    once = judged.breasts(examples[1:], scores[1:])
    np.testing.assert_allclose(judged.breasts(examples, scores).scores, once.scores)


def test_partial_labels_decide_malignant_and_nothing_else():
    examples = (image("Negative", source="rsna"), image("Benign", source="mini-mias"), image("Malignant"))
    images = judged.images(examples, np.full((3, 4), 0.25))
    assert images.certain.tolist() == [False, False, True]
    assert images.malignant.tolist() == [False, False, True]


def test_the_interval_draws_patients_not_images():
    """Ten images of each of 20 patients say no more than one of each."""
    values = np.random.default_rng(3).random(20)

    def interval(repeats):
        of_rows = np.repeat(values, repeats)
        draws = bootstrap.draw([str(n) for n in range(20) for _ in range(repeats)])
        return draws.estimate(
            lambda weights: bootstrap.share(weights @ of_rows, weights.sum(axis=1))[:, None]
        )

    once, ten = interval(1), interval(10)
    assert ten.value == pytest.approx(once.value)
    assert (ten.low, ten.high) == pytest.approx((once.low, once.high))
    assert once.low < once.value < once.high
