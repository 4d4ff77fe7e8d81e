"""Figures of every shipped model, computed again from what is committed, and how they are stated."""

import dataclasses
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from inference.network import manifest
from models.training import json_files
from models.training.evaluation import evaluate, measures, predictions
from models.training.evaluation.points import Rule
from models.training.evaluation.predictions import Predictions
from models.training.publishing import card, publish
from models.training.sources import folds
from models.training.sources.labels import Example

pytestmark = pytest.mark.timeout(600)  # much arithmetic where other programs compute too

FOLDERS = sorted(path.parent for path in Path(str(resources.files("models"))).glob("*/manifest.toml"))


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda folder: folder.name)
def shipped(request):
    return request.param


@pytest.fixture(scope="module")
def committed(shipped):
    return predictions.read(shipped / predictions.FILE_NAME)


@pytest.fixture(scope="module")
def figures(shipped, committed):
    choices = publish.choices(publish.evaluation_of(shipped))
    return evaluate.evaluate(committed, rule=choices.rule, method=choices.method, measured=choices.measured)


def test_the_models_that_are_shipped_are_found():
    assert [folder.name for folder in FOLDERS] == ["document-cnn-1.2.0", "secondread-1.3.0"]


def test_the_committed_evaluation_follows_from_the_committed_predictions(shipped, figures):
    assert (shipped / publish.EVALUATION).read_text(encoding="utf-8") == json_files.text(figures)


def test_an_evaluation_that_is_read_and_written_again_is_the_same_file(shipped):
    assert json_files.text(publish.evaluation_of(shipped)) == (shipped / publish.EVALUATION).read_text(
        encoding="utf-8"
    )


def test_a_file_without_its_figures_is_refused_by_name(shipped, tmp_path):
    text = (shipped / publish.EVALUATION).read_text(encoding="utf-8")
    (tmp_path / publish.EVALUATION).write_text(text.replace('"temperature"', '"warmth"', 1), encoding="utf-8")
    with pytest.raises(json_files.FiguresError, match=r"evaluation\.json cannot be read: temperature"):
        publish.evaluation_of(tmp_path)


def test_every_number_of_the_card_follows_from_the_committed_predictions(shipped, figures):
    read = manifest.load(shipped)
    assert (shipped / card.CARD).read_text(encoding="utf-8") == card.render(
        figures, name=read.name, version=read.version
    )


def test_temperature_and_operating_point_of_the_manifest_are_those_of_the_evaluation(shipped, figures):
    read = manifest.load(shipped)
    assert (read.temperature, read.operating_point) == (figures.temperature, figures.operating_point)
    assert read.calibrated
    assert read.operating_point_basis == card.bases(figures).operating_point
    assert dict(read.meanings) == {key.value: text for key, text in card.MEANINGS.items()}


def test_nine_in_ten_malignant_images_reach_the_screening_point_and_not_one_step_higher(committed, figures):
    scores = measures.softmax(committed.logits / figures.temperature + np.array(figures.calibration.bias), 1)
    malignant, score = committed.targets[:, 3] > 0, scores[:, 3]
    point = figures.operating_points[Rule.SENSITIVITY]
    assert (score[malignant] >= point).mean() >= 0.9 > (score[malignant] >= point + 2e-4).mean()
    point = figures.operating_points[Rule.SPECIFICITY]
    assert (score[~malignant] < point).mean() >= 0.89 > (score[~malignant] < point - 2e-4).mean()


def test_the_inbreast_figure_is_right_by_another_way(committed, figures):
    rows = [
        (list(example.target).index(1), int(np.argmax(logits + np.array(figures.calibration.bias))))
        for example, logits in zip(committed.examples, committed.logits / figures.temperature, strict=True)
        if example.source == "inbreast"
    ]
    recalls = [np.mean([predicted == true for true, predicted in rows if true == kind]) for kind in range(4)]
    stated = figures.sources["inbreast"].balanced_accuracy
    assert stated.value == pytest.approx(float(np.mean(recalls)), abs=6e-4)
    assert figures.above_chance == (stated.low > 0.25)


def test_the_predictions_name_no_file_and_each_patient_has_one_fold(shipped, committed):
    head = (shipped / predictions.FILE_NAME).read_text(encoding="utf-8").splitlines()[0]
    assert head == (
        "source,device,patient,laterality,view,label,fold,"
        "logit_normal,logit_benign,logit_benign_without_callback,logit_malignant"
    )
    by_person = {}
    for example, fold in zip(committed.examples, committed.folds, strict=True):
        assert by_person.setdefault(example.person, fold) == fold


def test_the_predictions_are_whole_committed_folds(committed, figures):
    fold_table = folds.read()
    assert all(
        fold_table[example.person] == fold
        for example, fold in zip(committed.examples, committed.folds, strict=True)
    )
    held_out = figures.folds.held_out
    assert {example.person for example in committed.examples} == {
        person for person, fold in fold_table.items() if fold in held_out
    }


def test_no_output_is_constant(figures):
    constant = {name: group.constant_output.constant for name, group in figures.sources.items()}
    assert constant == dict.fromkeys(("rsna", "cbis-ddsm", "inbreast", "mini-mias", "bwh-selenia"), False)


def test_the_plots_lie_beside_the_card(shipped, figures):
    text = (shipped / card.CARD).read_text(encoding="utf-8")
    for file in ("roc.png", "precision_recall.png", "reliability.png", "confusion.png", "training.png"):
        expected = file != "training.png" or figures.training is not None
        assert (shipped / file).exists() == expected == (f"`{file}`" in text)
        assert not expected or (shipped / file).stat().st_size < 60_000


def test_the_notice_says_research_only(shipped):
    assert "For research only" in (shipped / card.NOTICE).read_text(encoding="utf-8")


def test_the_card_says_it_when_chance_is_not_exceeded(shipped, figures):
    name = manifest.load(shipped).name
    worse = dataclasses.replace(figures, above_chance=False)
    assert "does **not** surely exceed chance" in card.render(worse, name=name, version="1")
    assert "is above chance" in card.render(
        dataclasses.replace(figures, above_chance=True), name=name, version="1"
    )


def test_a_card_of_unknown_texts_is_refused(figures):
    with pytest.raises(card.CardError, match=r"unseen\.md, what\.md, how\.md, failures\.md"):
        card.render(figures, name="no-such-network", version="1")


def test_predictions_come_back_from_their_table(tmp_path):
    examples = tuple(
        Example(file="x", source="s", device="d", patient=str(n), laterality="R", view="CC", label="Normal")
        for n in (2, 0, 1)
    )
    logits = np.arange(12).reshape(3, 4) / 7
    written = Predictions(examples=examples, folds=np.array([0, 1, 2]), logits=logits)
    order = predictions.write(written, tmp_path / "p.csv")
    read = predictions.read(tmp_path / "p.csv")
    assert order.tolist() == [1, 2, 0]
    np.testing.assert_allclose(read.logits, logits[order], atol=5e-5)
    assert [example.patient for example in read.examples] == ["0", "1", "2"]
    predictions.write(read, tmp_path / "q.csv")
    assert (tmp_path / "q.csv").read_bytes() == (tmp_path / "p.csv").read_bytes()
