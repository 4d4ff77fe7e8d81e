"""Networks side by side: the same images for all, kept when done, honest about what differs."""

import dataclasses
import itertools
import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from models import networks
from models.training import __main__ as commands
from models.training import compare, folds, prepare, train
from models.training.comparison import budget, candidate, cost, existing, table, trials
from models.training.comparison.budget import Budget
from models.training.comparison.candidate import Candidate, ComparisonError
from models.training.comparison.entry import Entry
from tests.support.models import model_folder, random_network
from tests.support.training import write_table

FOLD = 1
ENTRY = Entry(
    name="resnet50-192x144",
    network="resnet50",
    rows=192,
    columns=144,
    parameters=23_600_000,
    started_from="random",
    start_reason="no network here",
    images_seen=2000,
    training_seconds=260.4,
    seconds_per_image=0.0512,
    same_budget=True,
    figures={
        "rsna": {
            "balanced_accuracy": {"classes": 4, "chance": 0.25, "value": 0.3, "low": 0.25, "high": 0.35},
            "malignant_auc": None,
        }
    },
)


def plainly(batches, _title, _number):
    return batches


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("data"), patients=120)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


def prepared(data, work, rows, columns):
    return prepare.run(
        data, work, rows=rows, columns=columns, processes=1, progress=lambda outcomes, _: outcomes
    )


@pytest.fixture(scope="module")
def images(data, work):
    return prepared(data, work, 64, 48)


def inside(images):
    return train.training_set(images, folds.of(images.examples, {}), FOLD)


def invoke(*words):
    return CliRunner().invoke(commands.app, ["compare", *(str(word) for word in words)])


def test_a_comparison_is_resumed_and_never_mixed(data, tmp_path):
    where = (
        "--data",
        data,
        "--work",
        tmp_path,
        "--rows",
        64,
        "--columns",
        48,
        "--images",
        32,
        "--fold",
        FOLD,
    )
    first = invoke(*where, "--network", "document-cnn")
    assert first.exit_code == 0, first.output
    assert "document-cnn-64x48 starts from random" in first.output
    folder = tmp_path / compare.FOLDER
    weights = (folder / "document-cnn-64x48" / train.WEIGHTS).stat().st_mtime_ns

    assert isinstance(invoke(*where, "--network", "document-cnn").exception, train.UnfinishedRunError)
    both = ("--network", "document-cnn", "--network", "document-cnn@32x32")
    second = invoke(*where, *both, "--resume")
    assert second.exit_code == 0, second.output
    assert (folder / "document-cnn-64x48" / train.WEIGHTS).stat().st_mtime_ns == weights
    kept = json.loads((folder / trials.COMPARISON).read_text())
    assert [one["name"] for one in kept["networks"]] == ["document-cnn-64x48", "document-cnn-32x32"]
    assert [one["started_from"] for one in kept["networks"]] == ["random", "random"]
    assert {one["images_seen"] for one in kept["networks"]} == {32}
    assert set(kept["networks"][0]["figures"]) == {"inbreast", "rsna", "pooled"}
    assert (folder / trials.TABLE).read_text().strip() in second.output

    other = invoke(*where, *both, "--resume", "--seed", 2)
    assert isinstance(other.exception, ComparisonError)
    assert "other terms" in str(other.exception)


def test_every_network_sees_the_same_images_moved_alike(data, work, images):
    def seen(images):
        batches = itertools.islice(budget._batches(inside(images), seed=3), 8)  # more than one epoch
        return [[np.asarray(part) for part in batch] for batch in batches]

    for small, large in zip(seen(images), seen(prepared(data, work, 128, 96)), strict=True):
        for one, other in zip(small[1:], large[1:], strict=True):
            np.testing.assert_array_equal(one, other)
        halved = large[0].reshape(budget.BATCH, 64, 2, 48, 2).mean(axis=(2, 4))
        assert np.corrcoef(halved.ravel(), small[0].ravel())[0, 1] > 0.95


def test_the_same_seed_gives_the_same_network(images):
    def trained():
        networks.keras.utils.set_random_seed(4)
        model = networks.build("document-cnn", rows=64, columns=48)
        loss = budget.train(model, inside(images), Budget(images=48, seed=4), rate=1e-3, progress=plainly)
        return loss, model.get_weights()

    (loss, weights), (again, others) = trained(), trained()
    assert loss == again
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_array_equal(one, other)


def test_normalisation_statistics_follow_a_short_training(images):
    keras = networks.keras
    image = keras.Input((64, 48, 1))
    normalised = keras.layers.BatchNormalization(name="normalisation")(keras.layers.Conv2D(4, 3)(image))
    pooled = keras.layers.GlobalAveragePooling2D()(normalised)
    model = keras.Model(image, keras.layers.Dense(4, name=networks.LOGITS)(pooled))
    budget.train(model, inside(images), Budget(images=16, seed=1), rate=1e-3, progress=plainly)
    layer = model.get_layer("normalisation")
    assert layer.momentum == 0.9
    assert (np.asarray(layer.moving_variance) < 0.95).all()  # began at 1, and pictures 0 to 1 vary less


def test_what_fills_no_batch_is_not_counted():
    assert Budget(images=47, seed=1).images_seen == 32


def test_a_network_that_diverges_is_no_result(images):
    model = networks.build("document-cnn", rows=64, columns=48)
    with pytest.raises(ComparisonError, match="diverged"):
        budget.train(model, inside(images), Budget(images=64, seed=1), rate=1e30, progress=plainly)


def test_too_few_images_are_refused(images):
    few = inside(images)
    few = dataclasses.replace(
        few, positions=few.positions[:9], examples=few.examples[:9], lesions=few.lesions[:9]
    )
    model = networks.build("document-cnn", rows=64, columns=48)
    with pytest.raises(ComparisonError, match="at least 16"):
        budget.train(model, few, Budget(images=16, seed=1), rate=1e-3, progress=plainly)


@pytest.fixture(scope="module")
def model(tmp_path_factory, images):
    """Make a model folder, with predictions of every fold."""
    network = random_network()
    folder = model_folder(tmp_path_factory.mktemp("model"), network)
    theirs = folds.of(images.examples, {})
    numbers = [trials.held_out(images, fold) for fold in range(folds.FOLDS)]
    said = [(its, train.predict(network, images, its)) for its in numbers]
    trials.predictions.write(
        trials.predictions.collect(images.examples, theirs, said), folder / trials.PREDICTIONS
    )
    return folder


def held_out(images):
    return [images.examples[number] for number in trials.held_out(images, FOLD)]


def test_a_finished_model_is_judged_on_the_same_patients(images, model):
    entry = existing.read(model, held_out(images), fold=FOLD, threads=2)
    assert (entry.name, entry.rows, entry.columns) == ("test-net 0.0.1", 64, 48)
    assert (entry.started_from, entry.images_seen, entry.same_budget) == ("random", None, False)
    assert entry.figures["pooled"]["images"] == len(held_out(images))
    assert entry.parameters == 406_982


def test_a_model_says_what_its_training_took(images, model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "model")
    told = {"cost": {"started_from": "ImageNet (file x)", "images_seen": 7, "training_seconds": 8.5}}
    (folder / "evaluation.json").write_text(json.dumps(told))
    entry = existing.read(folder, held_out(images), fold=FOLD, threads=2)
    assert (entry.started_from, entry.images_seen, entry.training_seconds) == ("ImageNet (file x)", 7, 8.5)


def test_a_model_that_was_judged_on_other_patients_is_refused(images, model):
    with pytest.raises(ComparisonError, match=f"fold {FOLD}"):
        existing.read(model, held_out(images)[1:], fold=FOLD, threads=2)


def test_a_model_without_predictions_is_refused(images, tmp_path):
    folder = model_folder(tmp_path / "model", random_network())
    with pytest.raises(ComparisonError, match="missing"):
        existing.read(folder, held_out(images), fold=FOLD, threads=2)


def test_the_cost_of_an_image_is_measured_by_the_nodes_call():
    assert 0 < cost.seconds_per_image(networks.build("document-cnn", rows=64, columns=48)) < 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("resnet50", Candidate(network="resnet50", rows=192, columns=144)),
        ("document-cnn@384x288", Candidate(network="document-cnn", rows=384, columns=288)),
    ],
)
def test_candidates_are_read(text, expected):
    assert candidate.parse(text, rows=192, columns=144) == expected


@pytest.mark.parametrize("text", ["vgg", "resnet50@", "resnet50@0x5", "resnet50@5", "@5x5", ""])
def test_other_words_are_no_candidates(text):
    with pytest.raises(ComparisonError, match=r"allowed|not known"):
        candidate.parse(text, rows=192, columns=144)


def test_every_default_is_a_candidate():
    names = [candidate.parse(text, rows=192, columns=144).name for text in candidate.DEFAULT]
    assert len(set(names)) == len(names)


def test_the_table_says_what_is_known_and_why_not():
    longer = dataclasses.replace(
        ENTRY, name="longer", started_from=None, start_reason="", images_seen=None, training_seconds=None,
        same_budget=False, figures={},
    )  # fmt: skip
    text = table.render([ENTRY, longer], fold=2, threads=2)
    assert "| resnet50-192x144 | 192 by 144 | 23.60 M | random | 2000 | 260 | 0.051 |" in text
    assert "| longer | 192 by 144 | 23.60 M | not recorded | not recorded | not recorded | 0.051 |" in text
    assert "| resnet50-192x144 | 0.300 (0.250 to 0.350) |" in text
    assert "| resnet50-192x144 | too few images |" in text
    assert "resnet50-192x144 started from random weights: no network here." in text
    assert "Not trained within the common budget: longer." in text
