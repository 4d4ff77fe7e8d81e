"""`train --backend torch`: what it refuses, and the runs that it leaves."""

import dataclasses
import importlib.util
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from inference.network import secondread
from models.training.commands import application, options
from models.training.images import prepare
from models.training.learning import recipes, terms
from models.training.learning.train import NoStartError, UnfinishedRunError
from models.training.measuring import held_out
from models.training.sources import folds
from tests.support import models  # noqa: F401 - fixes the threads of this process
from tests.support.published_lite0 import write_published
from tests.support.training import write_table

TINY = dataclasses.replace(recipes.RECIPES[secondread.NAME], rows=96, columns=64)


@pytest.fixture
def train(monkeypatch):
    monkeypatch.setattr(options, "RECIPES", {secondread.NAME: TINY})

    def train_(*words):
        return CliRunner().invoke(application.app, ["train", "--backend", "torch", *map(str, words)])

    return train_


def test_without_torch_the_sentence_says_what_to_install(train, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    answer = train("--data", tmp_path, "--work", tmp_path, "--network", secondread.NAME)
    assert answer.exit_code == 2
    assert "secondread[gpu]" in answer.output


@pytest.mark.parametrize(
    "words", [("--network", "document-cnn"), ("--network", "secondread", "--resume"),
              ("--network", "secondread", "--epochs", "2")]
)  # fmt: skip
def test_what_only_tensorflow_does_is_refused(train, tmp_path, monkeypatch, words):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    answer = train("--data", tmp_path, "--work", tmp_path, *words)
    assert answer.exit_code == 2
    assert "--backend torch" in answer.output


@pytest.mark.timeout(900)  # trains, where other programs compute too
def test_a_fold_is_trained_and_read_by_tensorflow(train, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch", reason="torch, the extra gpu, is not installed")
    from models.training.torch_backend import train as torch_train  # noqa: PLC0415 - needs torch
    from models.training.torch_backend.cut_outs import CutOuts  # noqa: PLC0415
    from models.training.torch_backend.whole_images import Whole  # noqa: PLC0415

    torch.set_num_threads(1)
    small = {"cut_outs": CutOuts(side=32, batch=8), "whole": Whole(batch=4)}
    plan = torch_train.Plan
    monkeypatch.setattr(torch_train, "Plan", lambda *, seconds: plan(seconds=seconds, **small))
    data, work = write_table(tmp_path / "data"), tmp_path / "work"
    prepared = prepare.run(data, work, rows=96, columns=64, processes=1, progress=lambda images, _: images)
    words = ("--data", data, "--work", work, "--network", secondread.NAME, "--fold", 1, "--seconds", 2)
    assert isinstance(train(*words).exception, NoStartError)
    words += ("--imagenet", write_published(tmp_path / "lite0.npz"))
    answer = train(*words)
    assert answer.exit_code == 0, answer.output
    assert "fold-1, whole 1: loss" in answer.output

    folder = work / secondread.NAME / "fold-1"
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert {line["stage"] for line in history} == {"lesions", "whole"}
    fold_numbers = folds.of(prepared.examples, folds.read())
    weights = {1: folder / "weights.npz"}
    assert held_out.write(prepared, fold_numbers, weights, TINY, work / secondread.NAME) == [1]
    features = np.load(work / secondread.NAME / "features.npz")
    assert np.isfinite(features["network"]).all()

    assert isinstance(train(*words).exception, UnfinishedRunError)
    other_terms = terms.of(prepared, fold_numbers, 1, TINY, seed=1, imagenet=tmp_path / "lite0.npz")
    with pytest.raises(terms.OtherTermsError, match="recipe"):
        terms.check(folder, other_terms)
