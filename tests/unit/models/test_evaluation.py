"""Figures of the shipped model, computed again from what is committed, and how they are stated."""

import json

import numpy as np
import pytest

from models import manifest
from models.training import card, evaluate, export, folds, measures, predictions
from models.training.labels import Example
from models.training.predictions import Predictions

SHIPPED = manifest.shipped()


@pytest.fixture(scope="module")
def committed():
    return predictions.read(SHIPPED / export.PREDICTIONS)


@pytest.fixture(scope="module")
def figures(committed):
    return evaluate.evaluate(committed)


def test_the_committed_evaluation_follows_from_the_committed_predictions(figures):
    assert (SHIPPED / export.EVALUATION).read_text(encoding="utf-8") == export.as_json(figures)


def test_every_number_of_the_card_follows_from_the_committed_predictions(figures):
    read = manifest.load(SHIPPED)
    assert (SHIPPED / card.CARD).read_text(encoding="utf-8") == card.render(
        figures, name=read.name, version=read.version
    )


def test_temperature_and_operating_point_of_the_manifest_are_those_of_the_evaluation(figures):
    read = manifest.load(SHIPPED)
    assert (read.temperature, read.operating_point) == (figures["temperature"], figures["operating_point"])
    assert read.calibrated
    assert read.operating_point_basis == card.bases(figures).operating_point
    assert dict(read.meanings) == {key.value: text for key, text in card.MEANINGS.items()}


def test_nine_in_ten_malignant_images_reach_the_operating_point_and_not_one_step_higher(committed, figures):
    scores = measures.softmax(committed.logits, figures["temperature"])[:, 3]
    malignant = committed.targets[:, 3] > 0
    assert (scores[malignant] >= figures["operating_point"]).mean() >= 0.9
    assert (scores[malignant] >= figures["operating_point"] + 2e-4).mean() < 0.9


def test_the_inbreast_figure_is_right_by_another_way(committed, figures):
    rows = [
        (list(example.target).index(1), int(np.argmax(logits)))
        for example, logits in zip(committed.examples, committed.logits, strict=True)
        if example.source == "inbreast"
    ]
    recalls = [np.mean([said == true for true, said in rows if true == kind]) for kind in range(4)]
    stated = figures["sources"]["inbreast"]["balanced_accuracy"]
    assert stated["value"] == pytest.approx(float(np.mean(recalls)), abs=6e-4)
    assert figures["above_chance"] == (stated["low"] > 0.25)


def test_the_predictions_name_no_file_and_each_patient_has_one_fold(committed):
    head = (SHIPPED / export.PREDICTIONS).read_text(encoding="utf-8").splitlines()[0]
    assert head == (
        "source,device,patient,laterality,view,label,fold,"
        "logit_normal,logit_benign,logit_benign_without_callback,logit_malignant"
    )
    by_person = {}
    for example, fold in zip(committed.examples, committed.folds, strict=True):
        assert by_person.setdefault(example.person, fold) == fold
    assert len(committed.examples) == 4004
    assert len(by_person) == 1747


def test_the_predictions_are_of_the_committed_folds(committed):
    known = folds.read()
    assert all(
        known[example.person] == fold
        for example, fold in zip(committed.examples, committed.folds, strict=True)
    )


def test_no_class_is_predicted_for_every_image(figures):
    for its in figures["sources"].values():
        assert len([column for column in np.sum(its["confusion"], axis=0) if column]) > 1


def test_the_notice_says_research_only():
    assert "For research only" in (SHIPPED / card.NOTICE).read_text(encoding="utf-8")


def test_the_card_says_it_when_chance_is_not_exceeded(figures):
    worse = json.loads(json.dumps(figures))
    worse["above_chance"] = False
    assert "does **not** surely exceed chance" in card.render(worse, name="n", version="1")
    better = worse | {"above_chance": True}
    assert "is above chance" in card.render(better, name="n", version="1")


def test_predictions_come_back_from_their_table(tmp_path):
    examples = tuple(
        Example(file="x", source="s", device="d", patient=str(n), laterality="R", view="CC", label="Normal")
        for n in range(3)
    )
    logits = np.arange(12).reshape(3, 4) / 7
    written = Predictions(examples=examples, folds=np.array([0, 1, 2]), logits=logits)
    predictions.write(written, tmp_path / "p.csv")
    read = predictions.read(tmp_path / "p.csv")
    np.testing.assert_allclose(read.logits, logits, atol=5e-5)
    assert [example.patient for example in read.examples] == ["0", "1", "2"]
    predictions.write(read, tmp_path / "q.csv")
    assert (tmp_path / "q.csv").read_bytes() == (tmp_path / "p.csv").read_bytes()
