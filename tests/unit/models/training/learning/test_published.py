"""Training further where a published model ends, measuring it as it is, and which starts are refused."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from inference.network import catalogue, secondread, weights
from inference.network.engine import keras
from models.training.evaluation import predictions
from models.training.images import prepare
from models.training.learning import published, recipes, terms, train
from models.training.learning.recipes import RECIPES, LesionStage
from models.training.publishing import export, publish
from models.training.sources import folds
from tests.support import models  # noqa: F401 - fixes the threads of this process
from tests.support.training import write_table

ROWS, COLUMNS = 96, 64
RECIPE = dataclasses.replace(
    RECIPES[secondread.NAME],
    rows=ROWS,
    columns=COLUMNS,
    lesions=LesionStage(side=32, epochs=1, batches=2, batch=8, learning_rate=1e-3),
)
FOLDS = (1, 3)


def plainly(batches, *_):
    return batches


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    data, work = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("work")
    return prepare.run(write_table(data), work, rows=ROWS, columns=COLUMNS, processes=1, progress=plainly)


@pytest.fixture(scope="module")
def fold_numbers(prepared):
    return folds.of(prepared.examples, {})


@pytest.fixture(scope="module")
def published_model(prepared, fold_numbers, tmp_path_factory):
    """Publish two branches with one trunk, as if each had held its fold of `FOLDS` out."""
    work = tmp_path_factory.mktemp("runs")
    numbers = np.flatnonzero(np.isin(fold_numbers, FOLDS))
    logits = np.random.default_rng(4).normal(size=(len(numbers), 4))
    table = predictions.collect(prepared.examples, fold_numbers, [(numbers, logits)])
    predictions.write(table, work / predictions.FILE_NAME)
    publish.measure(work, publish.Choices())
    keras.utils.set_random_seed(1)
    network = catalogue.build(secondread.NAME, rows=ROWS, columns=COLUMNS)
    files = []
    for number in FOLDS:
        for variable in network.weights:
            if secondread.is_branch(variable.path):
                variable.assign(np.asarray(variable) + number / 64)
        files.append(work / f"{number}.npz")
        weights.save_weights(network, files[-1])
    to = work / "secondread-0.0.1"
    options = {"recipe": RECIPE, "version": "0.0.1", "digest": "0" * 64, "replace": False}
    return export.export(work, files, to, **options), files


def of_fold(prepared, fold_numbers, fold):
    return {
        example.person
        for example, number in zip(prepared.examples, fold_numbers, strict=True)
        if number == fold
    }


def go_on(prepared, fold_numbers, fold, folder, recipe, start_from, report):
    train.run(
        prepared,
        fold_numbers,
        fold,
        folder,
        recipe,
        seed=1,
        resume=False,
        imagenet=None,
        start_from=start_from,
        progress=plainly,
        report=report,
    )


@pytest.mark.parametrize("fold", FOLDS)
def test_the_branch_that_has_not_seen_the_fold_is_taken_as_it_is(
    published_model, prepared, fold_numbers, fold, tmp_path
):
    folder, files = published_model
    arguments = (
        prepared,
        fold_numbers,
        fold,
        tmp_path / "run",
        recipes.unchanged(RECIPE),
        folder,
        pytest.fail,
    )
    go_on(*arguments)
    with np.load(files[FOLDS.index(fold)]) as before, np.load(tmp_path / "run" / train.WEIGHTS) as trained:
        for name in trained.files:
            np.testing.assert_array_equal(trained[name], before[name].astype(np.float16))
    terms.check(tmp_path / "run", terms.of_images(prepared, fold_numbers, fold))
    with pytest.raises(train.UnfinishedRunError):
        go_on(*arguments)


def test_a_branch_goes_on_with_whole_images_alone_and_its_run_states_the_start(
    published_model, prepared, fold_numbers, tmp_path
):
    folder, files = published_model
    run, recipe, epochs = tmp_path / "run", recipes.continued(RECIPE), []
    go_on(prepared, fold_numbers, 3, run, recipe, folder, epochs.append)
    assert [(epoch.stage, epoch.validation_loss) for epoch in epochs] == [("whole", None)]
    with np.load(files[1]) as before, np.load(run / train.WEIGHTS) as trained:
        for name in trained.files:
            start = before[name].astype(np.float16)
            assert np.abs(trained[name] - start).max() < 0.05  # of a small learning rate
            assert secondread.is_branch(name) or np.array_equal(trained[name], start)
    assert json.loads((run / terms.TERMS).read_text())["start"]["model"] == "secondread 0.0.1"
    with pytest.raises(terms.OtherTermsError, match="another start"):
        terms.check(run, terms.of(prepared, fold_numbers, 3, recipe, seed=1, imagenet=None))


def test_a_fold_that_no_branch_has_left_out_is_refused(published_model):
    with pytest.raises(published.StartError, match=r"without the folds \[1, 3\], none without 2"):
        published.check(published_model[0], 2, RECIPE, ())


def test_patients_that_the_branch_may_have_seen_are_refused(published_model, prepared, fold_numbers):
    patients = of_fold(prepared, fold_numbers, 1) | {("inbreast", "unknown")}
    with pytest.raises(published.StartError, match="1 patients of fold 1"):
        published.check(published_model[0], 1, RECIPE, patients)


def test_another_size_is_refused(published_model):
    with pytest.raises(published.StartError, match="reads"):
        published.check(published_model[0], 1, dataclasses.replace(RECIPE, rows=128), ())


def test_a_model_without_its_predictions_is_refused(published_model, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(published_model[0], folder)
    (folder / predictions.FILE_NAME).unlink()
    with pytest.raises(published.StartError, match="is missing"):
        published.check(folder, 1, RECIPE, ())
