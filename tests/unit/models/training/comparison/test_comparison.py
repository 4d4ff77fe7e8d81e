"""Networks side by side: the same images for all, kept when done, honest about what differs."""

import dataclasses
import functools
import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from inference.network import catalogue, manifest
from inference.network.architecture import RANDOM, Start
from inference.network.engine import tf
from models.training import json_files
from models.training.commands import application, compare
from models.training.comparison import budget, candidate, cost, entry, trials
from models.training.comparison.budget import Budget
from models.training.comparison.candidate import Candidate, ComparisonError
from models.training.comparison.entry import ComparedFigures, Entry, of_finished_model
from models.training.comparison.trials import Terms
from models.training.evaluation.evaluate import evaluate
from models.training.evaluation.figures import BalancedAccuracy
from models.training.evaluation.measured import CostFigures
from models.training.images import prepare
from models.training.learning import epochs, train
from models.training.publishing import publish
from models.training.sources import folds
from tests.support.models import model_folder, random_network
from tests.support.training import write_table

pytestmark = pytest.mark.timeout(900)  # trains, where other programs compute too

FOLD = 1
ENTRY = Entry(
    name="resnet50-192x144",
    network="resnet50",
    rows=192,
    columns=144,
    parameters=23_600_000,
    started_from="random",
    start_reason="no network here",
    cut_outs_seen=32_000,
    images_seen=6406,
    training_seconds=260.4,
    seconds_per_image=0.0512,
    same_budget=True,
    figures={
        "rsna": ComparedFigures(
            images=20,
            balanced_accuracy=BalancedAccuracy(classes=4, chance=0.25, value=0.3, low=0.25, high=0.35),
            malignant_auc=None,
            macro_f1=None,
        )
    },
)


def plainly(batches, _title, _number):
    return batches


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch):
    """Draw few bootstrap samples: no test here looks at an interval."""
    for module in (trials, entry):
        monkeypatch.setattr(module, "evaluate", functools.partial(evaluate, resamples=20))


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


class Idle:
    """Takes the place of what learns from cut-outs, and learns nothing."""

    def __init__(self, *_):
        self.optimizers = []

    @staticmethod
    def learn(_batch, _number):
        return 1.0


@pytest.fixture
def _idle(monkeypatch):
    """Leave out what takes long and says nothing about a comparison: learning from cut-outs, and timing."""
    monkeypatch.setattr(epochs, "_Learner", Idle)
    monkeypatch.setattr(cost, "seconds_per_image", lambda *_: 0.1)


@pytest.fixture
def _unjudged(monkeypatch):
    monkeypatch.setattr(trials, "_judge", lambda *_: {})


def invoke(*words):
    return CliRunner().invoke(application.app, ["compare", *(str(word) for word in words)])


@pytest.mark.usefixtures("_idle")
def test_a_comparison_is_resumed_and_never_mixed(data, tmp_path):
    places = (
        "--data",
        data,
        "--work",
        tmp_path,
        "--rows",
        64,
        "--columns",
        48,
        "--cut-outs",
        160,
        "--fold",
        FOLD,
    )
    first = invoke(*places, "--network", "document-cnn")
    assert first.exit_code == 0, first.output
    assert "document-cnn-64x48 starts from random" in first.output
    folder = tmp_path / compare.FOLDER
    weights = (folder / "document-cnn-64x48" / train.WEIGHTS).stat().st_mtime_ns

    assert isinstance(invoke(*places, "--network", "document-cnn").exception, train.UnfinishedRunError)
    networks = ("--network", "document-cnn", "--network", "document-cnn@32x32")
    second = invoke(*places, *networks, "--resume")
    assert second.exit_code == 0, second.output
    assert (folder / "document-cnn-64x48" / train.WEIGHTS).stat().st_mtime_ns == weights
    content = json.loads((folder / trials.COMPARISON).read_text())
    assert [record["name"] for record in content["networks"]] == ["document-cnn-64x48", "document-cnn-32x32"]
    assert [record["started_from"] for record in content["networks"]] == ["random", "random"]
    assert {(record["cut_outs_seen"], record["images_seen"]) for record in content["networks"]} == {
        (160, 2 * 96)
    }
    assert set(content["networks"][0]["figures"]) == {"inbreast", "rsna", "pooled"}
    assert (folder / trials.TABLE).read_text().strip() in second.output

    other_seed = invoke(*places, *networks, "--resume", "--seed", 2)
    assert isinstance(other_seed.exception, ComparisonError)
    assert "other terms" in str(other_seed.exception)


def batches_of(images, terms, network="document-cnn"):
    """Collect what a network is shown, from the batches that its progress bar counts."""
    batches = []

    def watched(stream, title, _number):
        for batch in stream:
            if title != "head":
                batches.append([np.asarray(part) for part in batch])
            yield batch

    entrant = Candidate(network=network, rows=images.images.shape[1], columns=images.images.shape[2])
    trials.run(entrant, images, terms[1], terms[0], progress=watched, started=lambda _: None)
    return batches


@pytest.mark.usefixtures("_idle", "_unjudged")
def test_every_network_sees_the_same_places_and_images_moved_alike(data, work, tmp_path):
    terms = Terms(budget=Budget(cut_outs=160, seed=3), fold=FOLD, imagenet=None, threads=2)
    small = batches_of(prepared(data, work, 128, 96), (terms, tmp_path))
    large = batches_of(prepared(data, work, 256, 192), (terms, tmp_path))
    assert [len(batch[0]) for batch in small] == [32] * 5 + [16] * 12
    for (first_small, *requests), (first_large, *twins) in zip(small, large, strict=True):
        for part, twin in zip(requests, twins, strict=True):
            np.testing.assert_array_equal(part, twin)
        rows, columns = first_small.shape[1:3]
        halved = first_large.reshape(len(first_small), rows, 2, columns, 2).mean(axis=(2, 4))
        if (
            len(first_small) == budget.BATCH
        ):  # lesions; a place without one is drawn among pixels, of which there are more
            first_small, halved = first_small[::2], halved[::2]  # noqa: PLW2901
        assert np.corrcoef(halved.ravel(), first_small.ravel())[0, 1] > 0.95


@pytest.mark.usefixtures("_idle", "_unjudged")
def test_an_interrupted_network_begins_anew(images, tmp_path):
    terms = Terms(budget=Budget(cut_outs=160, seed=3), fold=FOLD, imagenet=None, threads=2)
    whole = batches_of(images, (terms, tmp_path))
    (tmp_path / "document-cnn-64x48" / "entry.json").unlink()  # as a run leaves it that was killed
    assert len(batches_of(images, (terms, tmp_path))) == len(whole)


@pytest.fixture
def _uncompiled():
    """Compute step by step: a few steps take less time than it takes to compile them."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.usefixtures("_uncompiled")
@pytest.mark.filterwarnings(
    "ignore:Even though the:UserWarning"
)  # the stream of images is compiled all the same
def test_a_network_with_a_single_dense_layer_is_compared_too(images, tmp_path, monkeypatch):
    monkeypatch.setattr(cost, "seconds_per_image", lambda *_: 0.1)
    terms = Terms(budget=Budget(cut_outs=160, seed=3), fold=FOLD, imagenet=None, threads=2)
    assert len(batches_of(images, (terms, tmp_path), "efficientnet-lite0")) == 5 + 12


def test_what_fills_no_batch_is_not_counted():
    assert Budget(cut_outs=5 * 32 * 3 + 159, seed=1).cut_outs_seen == 5 * 32 * 3


def test_networks_that_know_something_learn_more_slowly():
    entrant = Candidate(network="efficientnet-lite0", rows=192, columns=144)
    knowing, fresh = (
        Budget(cut_outs=32_000, seed=1).recipe(entrant, start)
        for start in (Start(origin="ImageNet (file x)"), RANDOM)
    )
    assert knowing.lesions.learning_rate < fresh.lesions.learning_rate
    assert (knowing.lesions.side, knowing.lesions.batches, knowing.whole) == (48, 200, fresh.whole)


def test_a_network_that_diverges_is_no_result(images, tmp_path, monkeypatch):
    monkeypatch.setattr(budget, "FROM_RANDOM", 1e30)
    terms = Terms(budget=Budget(cut_outs=320, seed=3), fold=FOLD, imagenet=None, threads=2)
    with pytest.raises(ComparisonError, match="diverged"):
        batches_of(images, (terms, tmp_path))


@pytest.fixture(scope="module")
def model(tmp_path_factory, images):
    """Make a model folder, with predictions of every fold."""
    network = random_network()
    folder = model_folder(tmp_path_factory.mktemp("model"), network)
    fold_numbers = folds.of(images.examples, {})
    numbers = [trials.held_out(images, fold) for fold in range(folds.FOLDS)]
    answers = [(members, train.predict(network, images, members)) for members in numbers]
    trials.predictions.write(
        trials.predictions.collect(images.examples, fold_numbers, answers),
        folder / trials.predictions.FILE_NAME,
    )
    return folder


def held_out(images):
    return [images.examples[number] for number in trials.held_out(images, FOLD)]


def test_a_finished_model_is_judged_on_the_same_patients(images, model):
    compared = of_finished_model(model, held_out(images), fold=FOLD, threads=2)
    assert (compared.name, compared.rows, compared.columns) == ("test-net 0.0.1", 64, 48)
    assert (compared.started_from, compared.cut_outs_seen, compared.same_budget) == ("random", None, False)
    assert compared.figures["pooled"].images == len(held_out(images))
    assert compared.parameters == 406_982


def test_a_model_says_what_its_training_took(images, model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "model")
    cost_of_model = CostFigures(
        seconds=0.1, slowest_seconds=0.2, images=1, threads=2, megabytes=1.5,
        started_from="ImageNet (file x)",
        lesion_cut_outs_seen=9, epochs_of_whole_images=1, images_seen=7, training_seconds=8,
    )  # fmt: skip
    shipped = publish.evaluation_of(manifest.shipped())
    (folder / publish.EVALUATION).write_text(
        json_files.text(dataclasses.replace(shipped, cost=cost_of_model)), encoding="utf-8"
    )
    compared = of_finished_model(folder, held_out(images), fold=FOLD, threads=2)
    assert (compared.started_from, compared.training_seconds) == ("ImageNet (file x)", 8)
    assert (compared.cut_outs_seen, compared.images_seen) == (9, 7)


def test_a_model_that_was_judged_on_other_patients_is_refused(images, model):
    with pytest.raises(ComparisonError, match=f"fold {FOLD}"):
        of_finished_model(model, held_out(images)[1:], fold=FOLD, threads=2)


def test_a_model_without_predictions_is_refused(images, tmp_path):
    folder = model_folder(tmp_path / "model", random_network())
    with pytest.raises(ComparisonError, match="missing"):
        of_finished_model(folder, held_out(images), fold=FOLD, threads=2)


def test_the_cost_of_an_image_is_measured_by_the_nodes_call():
    assert 0 < cost.seconds_per_image(catalogue.build("document-cnn", rows=None, columns=None), 64, 48) < 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("resnet50", Candidate(network="resnet50", rows=192, columns=144)),
        ("document-cnn@384x288", Candidate(network="document-cnn", rows=384, columns=288)),
    ],
)
def test_candidates_are_read(text, expected):
    assert candidate.parse(text, rows=192, columns=144) == expected


@pytest.mark.parametrize("text", ["secondread", "secondread-both-ways-2@768x576"])
def test_a_network_with_a_recipe_of_its_own_is_added_when_it_is_trained(text):
    with pytest.raises(ComparisonError, match="--add"):
        candidate.parse(text, rows=192, columns=144)


@pytest.mark.parametrize("text", ["vgg", "resnet50@", "resnet50@0x5", "resnet50@5", "@5x5", ""])
def test_other_words_are_no_candidates(text):
    with pytest.raises(ComparisonError, match=r"allowed|not known"):
        candidate.parse(text, rows=192, columns=144)


def test_every_default_is_a_candidate():
    names = [candidate.parse(text, rows=192, columns=144).name for text in candidate.DEFAULT]
    assert len(set(names)) == len(names)


def test_the_table_says_what_is_known_and_why_not(tmp_path):
    longer = dataclasses.replace(
        ENTRY, name="longer", started_from=None, start_reason="", cut_outs_seen=None, images_seen=None,
        training_seconds=None, same_budget=False, figures={},
    )  # fmt: skip
    terms = Terms(budget=Budget(cut_outs=160, seed=3), fold=FOLD, imagenet=None, threads=2)
    text = trials.write([ENTRY, longer], tmp_path, terms, digest="")
    assert "| resnet50-192x144 | 192 by 144 | 23.60 M | random | 32000 | 6406 | 260 | 0.051 |" in text
    unknown = " | ".join(["not recorded"] * 4)
    assert f"| longer | 192 by 144 | 23.60 M | {unknown} | 0.051 |" in text
    assert "| resnet50-192x144 | 0.300 (0.250 to 0.350) |" in text
    assert "| resnet50-192x144 | too few images |" in text
    assert "resnet50-192x144 started from random weights: no network here." in text
    assert "Not trained within the common budget: longer." in text
