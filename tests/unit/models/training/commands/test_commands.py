"""The commands, one after the other, on a tiny table: from images to a folder that the node opens."""

import dataclasses
import functools

import pytest
from typer.testing import CliRunner

from inference.analysis.classifier import Classifier
from inference.network import manifest
from models.training.commands import application, options
from models.training.evaluation.evaluate import evaluate
from models.training.learning import recipes
from models.training.learning.recipes import HeadStage, LesionStage
from models.training.publishing import export, plots, publish
from models.training.sources import folds
from tests.support import models  # noqa: F401 - fixes the threads of this process
from tests.support.training import write_table

pytestmark = pytest.mark.timeout(900)  # trains and evaluates, where other programs compute too

TINY = dataclasses.replace(
    recipes.RECIPES["document-cnn"],
    rows=64,
    columns=64,
    lesions=LesionStage(side=32, epochs=1, batches=2, batch=4, learning_rate=1e-3),
    whole=HeadStage(passes=1, epochs=1, batch=8, learning_rate=1e-3),
)


FOLDS = 2
"""Each of them is a training."""


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(options, "RECIPES", {"document-cnn": TINY})
    monkeypatch.setattr(folds, "FOLDS", FOLDS)
    monkeypatch.setattr(publish, "evaluate", functools.partial(evaluate, resamples=20))

    def run_(*words):
        return CliRunner().invoke(application.app, [str(word) for word in words])

    return run_


def test_from_images_to_a_shipped_folder(run, tmp_path, monkeypatch):
    places = ("--data", write_table(tmp_path / "data", patients=80), "--work", tmp_path / "work")
    (tmp_path / "data" / "7.png").write_bytes(b"broken")
    prepared = run("prepare", *places, "--threads", 1)
    assert prepared.exit_code == 0, prepared.output
    assert "left out: 7.png" in prepared.output
    assert "79 images prepared, 1 left out" in prepared.output

    assert isinstance(
        run("export", *places, "--version", "1", "--to", tmp_path).exception, export.ExportError
    )
    trained = run("train", *places)
    assert trained.exit_code == 0, trained.output
    assert all(f"fold {number}" in trained.output for number in range(FOLDS))
    assert "everything" in trained.output

    evaluated = run("evaluate", *places)
    assert evaluated.exit_code == 0, evaluated.output
    assert "inbreast" in evaluated.output

    exported = run("export", *places, "--version", "0.0.1", "--to", tmp_path)
    assert exported.exit_code == 0, exported.output
    folder = tmp_path / "document-cnn-0.0.1"
    assert sorted(path.name for path in folder.iterdir()) == [
        "NOTICE.md", "card.md", "confusion.png", "evaluation.json", "manifest.toml", "out_of_fold.csv",
        "precision_recall.png", "reliability.png", "roc.png", "training.png", "weights.npz",
    ]  # fmt: skip
    read = manifest.load(folder)
    assert read.training_data_digest in prepared.output
    assert Classifier.open(read).rows == 64
    monkeypatch.setattr(plots, "draw", lambda *_: [])
    again = run("export", *places, "--version", "0.0.1", "--to", tmp_path)
    assert isinstance(again.exception, export.ExportError)
    assert run("export", *places, "--version", "0.0.1", "--to", tmp_path, "--replace").exit_code == 0


def test_an_unknown_network_is_refused_with_a_list(run, tmp_path):
    answer = run("prepare", "--data", tmp_path, "--work", tmp_path, "--network", "vgg")
    assert answer.exit_code == 2
    assert "document-cnn" in answer.output


def test_expected_errors_end_with_a_sentence(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["training", "prepare", "--data", str(tmp_path), "--work", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        application.main()
    assert ended.value.code == 2
    assert "holds no table of labels" in capsys.readouterr().err
