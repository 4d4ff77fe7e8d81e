"""The evaluation as a whole, on made-up predictions: what is stated, bars, slots, plots, the shortcut."""

import dataclasses
import functools
import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from inference.network import manifest
from models.training import json_files
from models.training.commands import application
from models.training.evaluation import bars, evaluate, predictions
from models.training.evaluation.bars import Bar
from models.training.evaluation.calibration import Method
from models.training.evaluation.figures import Folds
from models.training.evaluation.measured import (
    CostFigures,
    DisturbanceFigures,
    FolderRefusals,
    GateFigures,
    MammogramRefusals,
    Measured,
    PointingFigures,
    PointingGroup,
    Refusals,
    RobustnessFigures,
    RobustnessGroup,
)
from models.training.evaluation.measures import Estimate
from models.training.evaluation.points import Rule
from models.training.measuring import shortcut, slots
from models.training.publishing import plots, publish
from models.training.publishing.publish import Choices
from tests.support.predicted import image, table

pytestmark = pytest.mark.timeout(600)  # much arithmetic where other programs compute too

evaluated = functools.partial(evaluate.evaluate, resamples=60)


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch):
    monkeypatch.setattr(publish, "evaluate", evaluated)


HIT = Estimate(value=0.6, low=0.5, high=0.7)
POINTED = PointingGroup(
    images=9,
    patients=5,
    hottest_point_in_lesion=HIT,
    random_point_in_lesion=HIT,
    heat_in_lesion=HIT,
    explained={"Malignant": 9},
)
REFUSED = Refusals(images=20, refused=18, share_refused=0.9, verdicts={"accepted": 2, "no breast found": 18})
MEASURED = Measured(
    pointing=PointingFigures(
        folds=(1,), left_out=0, widened_by=0.025, pooled=POINTED, sources={"inbreast": POINTED}, labels={}
    ),
    robustness=RobustnessFigures(
        folds=(1,),
        left_out=0,
        images=8,
        patients=8,
        groups={
            "pooled": RobustnessGroup(
                images=8,
                malignant=4,
                not_analysed=0,
                auc=None,
                disturbances={
                    "jpeg_50": DisturbanceFigures(
                        not_analysed=0,
                        auc_change=Estimate(value=-0.04, low=-0.06, high=-0.01),
                        labels_changed=0.125,
                        mean_score_change=0.1,
                    ),
                    "blur": DisturbanceFigures(
                        not_analysed=0,
                        auc_change=Estimate(value=0.01, low=0.0, high=0.02),
                        labels_changed=0.0,
                        mean_score_change=0.0,
                    ),
                },
            )
        },
    ),
    gate=GateFigures(
        limit=3.5,
        mammograms=MammogramRefusals(
            images=200, without_breast=0, refused=1, share_refused=0.005, sources={}
        ),
        other_pictures={
            "chosen": FolderRefusals(
                images=20, refused=18, share_refused=0.9, verdicts=REFUSED.verdicts, kinds={"chest": REFUSED}
            )
        },
    ),
    cost=CostFigures(
        seconds=0.5,
        slowest_seconds=0.6,
        images=60,
        threads=2,
        megabytes=50.5,
        started_from="random",
        lesion_cut_outs_seen=9,
        epochs_of_whole_images=1,
        images_seen=7,
        training_seconds=8,
    ),
)


@pytest.fixture(scope="module")
def predicted():
    return table()


@pytest.fixture(scope="module")
def figures(predicted):
    return evaluated(predicted)


def test_figures_are_per_source_device_image_and_breast(figures):
    assert list(figures.sources) == ["inbreast", "rsna"]
    assert list(figures.devices) == ["rsna/machine 0", "rsna/machine 1"]
    assert list(figures.groups) == ["inbreast", "rsna", "pooled"]
    for group in figures.groups.values():
        assert group.images == 2 * group.per_breast.breasts
        assert group.malignant_auc.low < group.malignant_auc.value < group.malignant_auc.high
        assert set(group.classes) == {"NORMAL", "BENIGN", "BENIGN_WITHOUT_CALLBACK", "MALIGNANT"}
    assert figures.folds == Folds(held_out=(0, 1, 2, 3, 4), of=5)


def test_some_folds_are_enough_and_are_named(predicted):
    part = evaluated(predicted.subset(np.isin(predicted.folds, [0, 3, 4])))
    assert part.folds.held_out == (0, 3, 4)
    assert part.without_those_folds["pooled"].images == part.pooled.images * 2 // 3
    alone = evaluated(predicted.subset(predicted.folds == 0))
    assert alone.without_those_folds == {}


def test_more_images_of_malignant_breasts_are_seen_in_the_figure_of_the_number_of_views(predicted, figures):
    second_view = np.array([example.view == "MLO" for example in predicted.examples])
    malignant = predicted.targets[:, 3] > 0
    uneven = evaluated(predicted.subset(malignant | ~second_view))
    views = uneven.pooled.per_breast.number_of_views
    assert views.malignant_auc_of_number.value == 1
    even = figures.pooled.per_breast.number_of_views
    assert even.malignant_auc_of_number == Estimate(value=0.5, low=0.5, high=0.5)


def test_a_constant_output_is_found(predicted):
    repeated = type(predicted)(
        examples=predicted.examples,
        folds=predicted.folds,
        logits=np.tile([0, 1, 0, 0.5], (len(predicted.folds), 1)),
    )
    constant = evaluated(repeated).pooled.constant_output
    assert constant.constant
    assert constant.predicted_share["BENIGN"] == 1


def test_rule_and_method_change_point_and_scores(predicted, figures):
    by_specificity = evaluated(predicted, rule=Rule.SPECIFICITY, method=Method.VECTOR)
    assert figures.operating_point == figures.operating_points["sensitivity"]
    assert by_specificity.operating_point == by_specificity.operating_points["specificity"]
    assert figures.calibration.bias == (0, 0, 0, 0) != by_specificity.calibration.bias
    assert (
        by_specificity.temperature == by_specificity.calibration.compared["temperature and bias"].temperature
    )


def test_normals_of_two_sources_are_compared_from_the_lower_to_the_higher(predicted):
    rsna = predicted.sources == "rsna"
    shifted = predicted.logits + 3.0 * np.outer(rsna, np.eye(4)[3])
    normals = evaluated(
        type(predicted)(examples=predicted.examples, folds=predicted.folds, logits=shifted)
    ).normals
    (pair,) = normals.pairs
    assert (pair.lower, pair.higher) == ("inbreast", "rsna")
    assert pair.auc.value > 0.9
    assert normals.farthest_from_chance == pytest.approx(pair.auc.value - 0.5)


def test_bars_are_reached_missed_or_not_measured(figures):
    bars_in_order = (
        Bar(figure="a", find=lambda _: [Estimate(value=0.75, low=0.7, high=0.8)], reach=0.8),
        Bar(figure="b", find=lambda _: [0.03, None, 0.04], reach=0.05, at_most=True),
        Bar(figure="c", find=lambda _: [None], reach=1),
        Bar(figure="d", find=lambda _: [], reach=1),
    )
    verdicts = bars.judge(figures, bars_in_order)
    assert [verdict.reached for verdict in verdicts] == [False, True, None, None]
    assert [verdict.value for verdict in verdicts] == [0.75, 0.04, None, None]
    assert (verdicts[0].by, verdicts[0].low, verdicts[2].by) == (0.05, 0.7, None)


def test_the_source_is_told_from_features_that_hold_it_and_not_from_others(predicted):
    generator = np.random.default_rng(9)
    blind = generator.normal(size=(len(predicted.folds), 6)).astype(np.float32)
    seeing = blind + np.outer(predicted.sources == "rsna", np.ones(6)).astype(np.float32) * 5
    assert shortcut.tell_sources(seeing, predicted).accuracy.value > 0.95
    probe = shortcut.tell_sources(blind, predicted)
    assert probe.accuracy.low < probe.accuracy_by_chance == 0.5 < probe.accuracy.high


def test_plain_statistics_see_the_breast_alone():
    picture = np.zeros((40, 30), np.uint8)
    picture[10:30, :10] = 51
    share, height, width, mean, spread, *_, right, down = shortcut.statistics(iter([picture]))[0]
    assert (share, height, width) == pytest.approx((200 / 1200, 0.5, 1 / 3))
    assert (mean, spread, right, down) == pytest.approx((0.2, 0, 0, 0))
    assert not shortcut.statistics(iter([np.zeros((4, 4), np.uint8)])).any()


def test_what_was_measured_elsewhere_is_gathered_kept_and_drawn(predicted, tmp_path):
    order = predictions.write(predicted, tmp_path / predictions.FILE_NAME)
    np.savez(tmp_path / slots.FEATURES, network=predicted.logits[order].astype(np.float32))
    for name in ("pointing", "robustness", "gate", "cost"):
        (tmp_path / f"{name}.json").write_text(json_files.text(getattr(MEASURED, name)))
    (tmp_path / "fold-1").mkdir()
    epochs = [{"stage": "head", "number": n, "loss": 1 / (n + 1), "validation_loss": 0.7} for n in range(3)]
    (tmp_path / "fold-1" / "history.jsonl").write_text("\n".join(map(json.dumps, epochs)))

    table_ = tmp_path / predictions.FILE_NAME
    measured = slots.gather(tmp_path, table_)
    assert dataclasses.replace(measured, training=None, telling_sources=None) == MEASURED
    assert list(measured.telling_sources) == ["network"]
    choices = Choices(rule=Rule.SPECIFICITY, method=Method.TEMPERATURE, measured=measured)
    figures = publish.publish(tmp_path, name="document-cnn", version="1", choices=choices)
    assert publish.choices(publish.evaluation_of(tmp_path)) == choices
    assert figures.training[2].loss == 0.333
    assert {bar.figure: bar.by for bar in figures.bars}["megabytes of weights"] == 10.5
    text = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert "| seconds | 0.500 |" in text
    assert "| INbreast (Siemens digital) | 9 (5) | 0.600 (0.500 to 0.700) |" in text
    assert "| jpeg 50 | -0.040 (-0.060 to -0.010) | 0.125 |" in text
    assert "| others, chosen: chest | 20 | 18 | 0.900 |" in text
    verdicts = {bar.figure: bar.reached for bar in figures.bars}
    assert not verdicts["change of the malignant AUC under the worst disturbance, sources pooled"]
    assert not verdicts["pictures that are no mammograms, refused"]
    assert verdicts["mammograms refused"]
    assert not verdicts["inbreast: hottest point inside a lesion (pointing game)"]
    assert "| megabytes of weights | ≤ 40 | 50.500 | missed by 10.500 |" in text

    first = {file: (tmp_path / file).read_bytes() for file in plots.draw(figures, predicted, tmp_path)}
    assert sorted(first) == [
        "confusion.png", "precision_recall.png", "reliability.png", "roc.png", "training.png"
    ]  # fmt: skip
    plots.draw(figures, predicted, tmp_path)
    assert first == {file: (tmp_path / file).read_bytes() for file in first}
    assert max(map(len, first.values())) < 60_000


def test_the_card_command_writes_a_folder_again(predicted, tmp_path):
    shutil.copy(manifest.shipped("document-cnn-1.2.0") / "manifest.toml", tmp_path)
    predictions.write(predicted, tmp_path / predictions.FILE_NAME)
    words = ["card", str(tmp_path), "--rule", "specificity"]
    assert CliRunner().invoke(application.app, words).exit_code == 0
    written = (tmp_path / "card.md").read_bytes()
    again = CliRunner().invoke(application.app, words[:2])
    assert again.exit_code == 0, again.output
    assert (tmp_path / "card.md").read_bytes() == written
    assert b"radiologist's average specificity" in written


def test_a_source_of_partial_labels_alone_has_malignant_figures_only():
    examples = tuple(
        image("Negative" if number % 2 else "Malignant", source="rsna", patient=str(number))
        for number in range(40)
    )
    logits = np.random.default_rng(2).normal(size=(40, 4))
    partial = predictions.Predictions(examples=examples, folds=np.arange(40) % 5, logits=logits)
    negative = evaluated(partial).pooled
    assert negative.label_certain == 20
    assert list(negative.classes) == ["MALIGNANT"]
    assert negative.malignant_auc is not None
