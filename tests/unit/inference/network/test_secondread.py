"""Our own network: a trunk that does not learn, branches that do, and several of them joined."""

import dataclasses
import functools
import hashlib
import shutil

import numpy as np
import pytest

from inference.network import catalogue, secondread
from inference.network import manifest as manifests
from inference.network import weights as weight_files
from inference.network.engine import keras
from models.training.evaluation import predictions
from models.training.evaluation.calibration import Method
from models.training.evaluation.evaluate import evaluate
from models.training.evaluation.points import Rule
from models.training.images import cells, prepare
from models.training.images.cells import CellSet, Variant, in_order, shuffled
from models.training.learning import train
from models.training.learning.recipes import RECIPES, LesionStage, Recipe, WholeStage
from models.training.measuring import held_out, slots
from models.training.publishing import export, joining, publish
from models.training.publishing.publish import Choices
from models.training.sources import folds
from tests.support import models  # noqa: F401 - fixes the threads of this process
from tests.support.predicted import table
from tests.support.published_lite0 import write_published
from tests.support.training import write_table

pytestmark = pytest.mark.timeout(900)  # trains, where other programs compute too

ROWS, COLUMNS = 96, 64
RECIPE = Recipe(
    network=secondread.NAME,
    rows=ROWS,
    columns=COLUMNS,
    lesions=LesionStage(side=32, epochs=1, batches=2, batch=8, learning_rate=1e-3, healthy=0.25, grey=True),
    whole=WholeStage(epochs=2, batch=8, learning_rate=1e-3, head_rate=10.0, weight_decay=1e-2),
    from_imagenet=True,
)


def plainly(batches, *_):
    return batches


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    return write_published(tmp_path_factory.mktemp("imagenet") / "lite0.npz")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    data = write_table(tmp_path_factory.mktemp("data"))
    work = tmp_path_factory.mktemp("work")
    return prepare.run(data, work, rows=ROWS, columns=COLUMNS, processes=1, progress=plainly)


def run(prepared, folder, imagenet, *, resume=False, report=lambda _: None):
    train.run(
        prepared,
        folds.of(prepared.examples, {}),
        0,
        folder,
        RECIPE,
        seed=3,
        resume=resume,
        imagenet=imagenet,
        progress=plainly,
        report=report,
    )
    with np.load(folder / train.WEIGHTS, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def trained(prepared, imagenet, tmp_path_factory):
    """Weights, epochs and folder of a run; ``stopped`` beside it is what it had left one epoch before."""
    epochs = []
    folder = tmp_path_factory.mktemp("runs") / "fold-0"

    def keep(epoch):
        epochs.append(epoch)
        if (epoch.stage, epoch.number) == ("whole", 0):
            shutil.copytree(folder, folder.parent / "stopped" / folder.name)
            for cells_file in folder.parent.glob("cells-*"):
                shutil.copy(cells_file, folder.parent / "stopped")

    return run(prepared, folder, imagenet, report=keep), epochs, folder


@pytest.fixture(scope="module")
def initial(imagenet):
    """The network as a run begins with it."""
    model = catalogue.build(secondread.NAME, rows=ROWS, columns=COLUMNS)
    catalogue.start(model, imagenet=imagenet)
    return model


@pytest.fixture(scope="module")
def single(trained):
    """The network with the weights of the run."""
    model = catalogue.build(secondread.NAME, rows=ROWS, columns=COLUMNS)
    weight_files.load_weights(model, trained[2] / train.WEIGHTS)
    return model


def test_the_trunk_stays_as_it_was_and_the_branch_learns(trained, initial):
    weights, _, _ = trained
    for variable in initial.weights:
        unchanged = np.array_equal(weights[variable.path], np.asarray(variable))
        assert unchanged != secondread.is_branch(variable.path), variable.path


def test_both_stages_tell_their_losses_held_out_too(trained):
    _, epochs, _ = trained
    assert [(epoch.stage, epoch.number) for epoch in epochs] == [("lesions", 0), ("whole", 0), ("whole", 1)]
    assert all(np.isfinite([epoch.loss, epoch.validation_loss]).all() for epoch in epochs)


def test_a_run_that_stopped_between_the_stages_gives_the_same_weights(trained, prepared, imagenet, tmp_path):
    stopped = shutil.copytree(trained[2].parent / "stopped", tmp_path / "runs") / "fold-0"
    assert not (stopped / train.WEIGHTS).exists()
    resumed = run(prepared, stopped, imagenet, resume=True)
    for name, values in trained[0].items():
        np.testing.assert_array_equal(resumed[name], values)


def test_without_a_file_of_imagenets_weights_the_option_is_named(prepared, tmp_path):
    with pytest.raises(train.NoStartError, match="--imagenet"):
        run(prepared, tmp_path / "fold-0", None)


def read(model, images, *, turned=False):
    """Give activations, upright, and logits."""
    way = -1 if turned else 1
    activations, logits = catalogue.with_activations(model)(images[:, ::way])
    return np.asarray(activations)[:, ::way], np.asarray(logits)


def test_joined_networks_read_both_ways_and_average_and_keep_all_activations_upright(initial, tmp_path):
    singles, paths = [], []
    generator = np.random.default_rng(5)
    images = generator.random((2, ROWS, COLUMNS, 1), np.float32)
    start = [np.asarray(variable) for variable in initial.weights]
    for number in range(2):
        for variable in initial.weights:
            if secondread.is_branch(variable.path):
                variable.assign(np.asarray(variable) + generator.normal(0, 0.01, variable.shape))
        paths.append(tmp_path / f"{number}.npz")
        weight_files.save_weights(initial, paths[-1])
        singles += [read(initial, images), read(initial, images, turned=True)]
    for variable, values in zip(initial.weights, start, strict=True):
        variable.assign(values)
    joined = joining.join(paths, rows=ROWS, columns=COLUMNS)
    activations, logits = read(joined, images)
    np.testing.assert_allclose(logits, np.mean([reading[1] for reading in singles], axis=0), atol=1e-5)
    np.testing.assert_allclose(
        activations, np.concatenate([reading[0] for reading in singles], -1), atol=1e-5
    )


@pytest.mark.parametrize("count", [1, 2])
def test_folds_are_shipped_joined_in_half_precision_with_their_gate(
    trained, single, tmp_path, monkeypatch, count
):
    monkeypatch.setattr(publish, "evaluate", functools.partial(evaluate, resamples=20))
    _, _, folder = trained
    run_folder = tmp_path / "run"
    run_folder.mkdir()
    predictions.write(table(), run_folder / predictions.FILE_NAME)
    publish.measure(run_folder, Choices(rule=Rule.SENSITIVITY, method=Method.ALIKE))
    (run_folder / "gate.npz").write_bytes(b"what a gate knows")
    digest = hashlib.sha256(b"what a gate knows").hexdigest()
    (run_folder / "gate.toml").write_text(
        f'[gate]\nfile = "gate.npz"\nsha256 = "{digest}"\nlimit = 4.0\nbasis = "none"\n', encoding="utf-8"
    )
    shipped = export.export(
        run_folder,
        [folder / train.WEIGHTS] * count,
        tmp_path / "secondread-0.0.1",
        recipe=RECIPE,
        version="0.0.1",
        digest="0" * 64,
        replace=False,
    )
    manifest = manifests.load(shipped)
    assert (manifest.name, manifest.network) == ("secondread", secondread.joined(count))
    assert manifest.gate is not None
    assert manifest.bias == tuple(publish.evaluation_of(run_folder).calibration.bias)
    assert any(manifest.bias)
    with np.load(manifest.weights_path) as arrays:
        assert {arrays[name].dtype for name in arrays.files} == {np.dtype(np.float16)}
    network = catalogue.build(manifest.network, rows=ROWS, columns=COLUMNS)
    weight_files.load_weights(network, manifest.weights_path)
    images = np.random.default_rng(5).random((2, ROWS, COLUMNS, 1), np.float32)
    expected = (read(single, images)[1] + read(single, images, turned=True)[1]) / 2
    np.testing.assert_allclose(read(network, images)[1], expected, atol=5e-3 * np.abs(expected).max())


def test_held_out_images_are_read_both_ways_as_the_shipped_network_does(trained, single, prepared, tmp_path):
    _, _, folder = trained
    held_out.write(prepared, folds.of(prepared.examples, {}), {0: folder / train.WEIGHTS}, RECIPE, tmp_path)
    held_out_table = predictions.read(tmp_path / predictions.FILE_NAME)
    by_patient = {example.patient: number for number, example in enumerate(prepared.examples)}
    numbers = [by_patient[example.patient] for example in held_out_table.examples]
    images = prepared.images[prepared.positions[numbers]][..., None].astype(np.float32) / 255
    expected = (read(single, images)[1] + read(single, images, turned=True)[1]) / 2
    np.testing.assert_allclose(held_out_table.logits, expected, atol=1e-3)
    with np.load(tmp_path / slots.FEATURES) as features:
        assert features["network"].shape == (len(numbers), 2560)


def test_networks_with_other_trunks_are_not_joined(tmp_path):
    paths = []
    for number in range(2):
        keras.utils.set_random_seed(number)
        paths.append(tmp_path / f"{number}.npz")
        weight_files.save_weights(catalogue.build(secondread.NAME, rows=None, columns=None), paths[-1])
    with pytest.raises(joining.JoiningError, match="do not share a trunk"):
        joining.join(paths, rows=ROWS, columns=COLUMNS)


def test_epochs_of_cells_show_each_image_once_and_validation_keeps_the_order(prepared):
    examples = prepared.examples[:10]
    numbers = np.arange(20, dtype=np.float16)[:, None, None, None] * np.ones((1, 3, 2, 1), np.float16)
    top_is_lesion = np.zeros((10, 3, 2), np.int8)
    top_is_lesion[:, 0] = 1
    cell_set = CellSet(
        examples=examples,
        rows=np.arange(10),
        variants=(
            Variant(cells=numbers[:10], upside_down=np.zeros(10, bool)),
            Variant(cells=numbers[10:], upside_down=np.arange(10) % 2 == 0),
        ),
        places=top_is_lesion,
    )
    epoch = list(shuffled(cell_set, np.random.default_rng(1), batch=5))
    values = np.concatenate([batch[0][:, 0, 0, 0] for batch in epoch])
    places = np.concatenate([batch[-1][:, :, 0] for batch in epoch])
    assert sorted(values % 10) == list(range(10))
    assert (places[values < 10] == [1, 0, 0]).all()
    turned = (values >= 10) & (values % 2 == 0)
    assert (places[turned] == [0, 0, 1]).all()
    assert (places[~turned] == [1, 0, 0]).all()
    assert 0 < (values < 10).sum() < 10
    ordered = list(in_order(cell_set, batch=4))
    assert [len(batch[0]) for batch in ordered] == [4, 4, 2]
    assert np.concatenate([batch[0] for batch in ordered])[:, 0, 0, 0].tolist() == list(range(10))
    assert all((batch[-1][:, 0] == 1).all() for batch in ordered)


def test_cells_upside_down_are_what_the_trunk_says_of_turned_images(prepared, tmp_path, monkeypatch):
    for step in (cells.augmentation, cells.intensity):
        monkeypatch.setattr(step, "apply", lambda images, *_: images)
    monkeypatch.setattr(cells.resampling, "apply", lambda image, _: image)
    keras.utils.set_random_seed(1)
    model = catalogue.build(secondread.NAME, rows=None, columns=None)
    _, variant = cells.compute(prepared, model, tmp_path, progress=plainly, variants=2)
    turned = np.flatnonzero(variant.upside_down)
    assert 0 < len(turned) < len(variant.cells)
    images = prepared.images[prepared.positions[turned]][:, ::-1, :, None].astype(np.float32) / 255
    expected = np.asarray(secondread.trunk(model)(images))
    np.testing.assert_allclose(variant.cells[turned], expected, atol=2e-3 * np.abs(expected).max())


def test_cells_are_computed_once_and_anew_for_images_in_another_order(prepared, tmp_path):
    model = catalogue.build(secondread.NAME, rows=None, columns=None)
    turned = dataclasses.replace(
        prepared, positions=prepared.positions[::-1], examples=prepared.examples[::-1]
    )
    computed = []

    def progress(pieces, title, _):
        computed.append(title)
        return pieces

    for images in (prepared, prepared, turned):
        (variant,) = cells.compute(images, model, tmp_path, progress=progress, variants=1)
    assert len(computed) == 2
    (first,) = cells.compute(prepared, model, tmp_path, progress=progress, variants=1)
    np.testing.assert_array_equal(variant.cells[::-1], first.cells)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_shipped_recipe_reads_lesions_in_their_surroundings():
    recipe = RECIPES[secondread.NAME]
    assert recipe.lesions.side % secondread.PLACES == 0
    assert recipe.rows % secondread.PLACES == recipe.columns % secondread.PLACES == 0
