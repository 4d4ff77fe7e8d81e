"""The commands that test a trained model, on drawn breasts: pointing, robustness, gate."""

import json
import shutil
import tomllib

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from inference.analysis.gate import Gate
from inference.network import manifest, weights
from models.training.commands import application
from models.training.images import prepare
from models.training.learning import terms
from models.training.learning.terms import OtherTermsError
from models.training.measuring import out_of_fold
from models.training.measuring.out_of_fold import NoRunsError
from models.training.measuring.robustness import DISTURBANCES
from models.training.sources import folds, reading
from tests.support.models import model_folder, random_network
from tests.support.published_lite0 import write_published
from tests.support.training import write_table


def run(*words):
    return CliRunner().invoke(application.app, [str(word) for word in words])


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A data folder, a model, and its training with two folds of five."""
    folder = tmp_path_factory.mktemp("model-tests")
    write_table(folder / "data", patients=80)
    model_folder(folder / "model", random_network())
    prepared = prepare.run(
        folder / "data", folder, rows=64, columns=48, processes=1, progress=lambda images, _: images
    )
    fold_numbers = folds.of(prepared.examples, folds.read())
    for number in (1, 3):
        run_folder = folder / "runs" / f"fold-{number}"
        run_folder.mkdir(parents=True)
        weights.save_weights(random_network(seed=number), run_folder / "weights.npz")
        terms.begin(run_folder, terms.of_images(prepared, fold_numbers, number))
    return folder


@pytest.fixture(scope="module")
def prepared(places):
    return prepare.load(places / "data", places, rows=64, columns=48)


def options(places, runs="runs"):
    return "--data", places / "data", "--model", places / "model", "--runs", places / runs


def test_pointing_reads_the_images_of_trained_folds(places, tmp_path):
    answer = run("pointing", *options(places), "--to", tmp_path / "pointing.json", "--images", 10)
    assert answer.exit_code == 0, answer.output
    figures = json.loads((tmp_path / "pointing.json").read_text(encoding="utf-8"))
    assert figures["folds"] == [1, 3]
    assert figures["left_out"] == 0
    assert figures["pooled"]["images"] == 10
    assert 0 <= figures["pooled"]["hottest_point_in_lesion"]["value"] <= 1


def test_robustness_writes_figures_and_table(places, tmp_path):
    answer = run("robustness", *options(places), "--to", tmp_path / "robustness.json", "--images", 8)
    assert answer.exit_code == 0, answer.output
    figures = json.loads((tmp_path / "robustness.json").read_text(encoding="utf-8"))
    assert (figures["images"], figures["left_out"]) == (8, 0)
    assert set(figures["groups"]["pooled"]["disturbances"]) == set(DISTURBANCES)
    assert "white border" in (tmp_path / "robustness.md").read_text(encoding="utf-8")


def test_the_gate_that_is_written_is_one_that_a_model_opens(places, tmp_path):
    other_runs = tmp_path / "others" / "blank"
    other_runs.mkdir(parents=True)
    Image.fromarray(np.full((200, 160), 90, np.uint8)).save(other_runs / "a.png")
    answer = run(
        "gate", "--data", places / "data", "--imagenet", write_published(tmp_path / "lite0.npz"),
        "--others", tmp_path / "others", "--spoiled", tmp_path / "others",
        "--further", tmp_path / "others", "--to", tmp_path / "gate",
        "--images", 24,
    )  # fmt: skip
    assert answer.exit_code == 0, answer.output
    figures = json.loads((tmp_path / "gate" / "gate.json").read_text(encoding="utf-8"))
    assert figures["others"]["others"]["kinds"]["blank"]["refused"] == 1
    assert figures["spoiled_mammograms"]["others"]["images"] == 1
    assert figures["further_mammograms"]["others"]["images"] == 1
    assert figures["mammograms"]["images"] == 24

    model = model_folder(tmp_path / "model", random_network())
    table = (tmp_path / "gate" / "gate.toml").read_text(encoding="utf-8")
    assert tomllib.loads(table)["gate"]["limit"] == figures["limit"]
    with (model / "manifest.toml").open("a", encoding="utf-8") as file:
        file.write("\n" + table)
    (model / "gate.npz").write_bytes((tmp_path / "gate" / "gate.npz").read_bytes())
    assert Gate.open(manifest.load(model)) is not None


@pytest.mark.parametrize("command", ["pointing", "robustness"])
def test_a_fold_that_has_learned_from_its_held_out_images_is_not_measured(places, tmp_path, command):
    shutil.copytree(places / "runs" / "fold-1", places / command / "fold-2")
    answer = run(command, *options(places, command), "--to", tmp_path / "a.json")
    assert isinstance(answer.exception, OtherTermsError)
    assert "another fold" in str(answer.exception)


def test_runs_that_are_not_there_are_named(places, tmp_path):
    (places / "none").mkdir()
    answer = run("pointing", *options(places, "none"), "--to", tmp_path / "a.json")
    assert isinstance(answer.exception, NoRunsError)
    assert "run `train`" in str(answer.exception)


def test_every_image_is_read_by_the_network_that_has_not_seen_its_patient(places, prepared):
    examples = out_of_fold.held_out(prepared, places / "runs")
    read = manifest.load(places / "model")
    for part in out_of_fold.parts(read, places / "runs", examples):
        fold_numbers = out_of_fold.folds.of(part.examples, out_of_fold.folds.read())
        assert set(fold_numbers) == {part.fold}
        own = random_network(seed=part.fold).predict(np.ones((1, 64, 48, 1)), verbose=0)[0]
        (read_out,) = part.classifier.read(np.ones((1, 64, 48, 1), np.float32))
        np.testing.assert_allclose(read_out.scores, own, atol=1e-5)


def test_a_sample_takes_from_all_sources_evenly_and_always_the_same(places):
    examples = reading.read(places / "data").examples
    first, second = (out_of_fold.sample(examples, 20) for _ in range(2))
    assert first == second
    assert len(set(first)) == 20
    sources = [example.source for example in first]
    assert sources.count("inbreast") == sources.count("rsna") == 10
    assert sum(example.label == "Malignant" for example in first) == 10
