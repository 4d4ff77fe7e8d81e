"""From a table of images to weights: prepared once, trained, resumed with the same result."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from inference.analysis import breast, preprocess
from inference.network import architecture, catalogue
from inference.network.engine import keras, tf
from inference.reading import pixels
from models.training.images import prepare
from models.training.images.balance import balance
from models.training.images.lesions import NoLesionsError
from models.training.learning import head, objective, terms, train
from models.training.learning.recipes import RECIPES, HeadStage, LesionStage, Recipe, with_epochs
from models.training.measuring import held_out
from models.training.sources import folds
from models.training.sources.labels import Example
from tests.support import models  # noqa: F401 - fixes the threads of this process
from tests.support.training import write_table

pytestmark = pytest.mark.timeout(900)  # trains, where other programs compute too

SIDE = 64
RECIPE = Recipe(
    network="document-cnn",
    rows=SIDE,
    columns=SIDE,
    lesions=LesionStage(side=32, epochs=4, batches=15, batch=4, learning_rate=1e-3),
    whole=HeadStage(passes=1, epochs=2, batch=8, learning_rate=1e-3),
)


def plainly(batches, *_):
    return batches


def make(data, work):
    return prepare.run(data, work, rows=SIDE, columns=SIDE, processes=1, progress=plainly)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def prepared(table, tmp_path_factory):
    return make(table, tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def training_set(prepared):
    return train.training_set(prepared, folds.of(prepared.examples, {}), train.ALL)


def run(prepared, folder, *, fold=train.ALL, recipe=RECIPE, seed=3, resume=False, report=lambda _: None):
    train.run(
        prepared,
        folds.of(prepared.examples, {}),
        fold,
        folder,
        recipe,
        seed=seed,
        resume=resume,
        imagenet=None,
        progress=plainly,
        report=report,
    )
    return weights_of(folder)


@pytest.fixture(scope="module")
def finished(prepared, tmp_path_factory):
    """A run that has held fold 0 out, and what it had left after its first epoch, in ``stopped`` beside it.

    Both are left as they are: what changes a run takes a copy.
    """
    folder = tmp_path_factory.mktemp("runs") / "fold-0"

    def keep(epoch):
        if (epoch.stage, epoch.number) == ("lesions", 0):
            shutil.copytree(folder, folder.with_name("stopped"))

    run(prepared, folder, fold=0, report=keep)
    return folder


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "fold-0")


def weights_of(folder):
    with np.load(folder / train.WEIGHTS, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def test_images_are_prepared_by_the_nodes_own_functions(table, prepared):
    picture = pixels.from_image_file(table / "3.png")
    expected = preprocess.prepare(picture, breast.find(picture), SIDE, SIDE)
    assert prepared.examples[3].file == "3.png"
    np.testing.assert_allclose(
        prepared.images[prepared.positions[3]], expected.values[..., 0] * 255, atol=0.51
    )
    left, top, right, bottom = prepared.lesions[3][0]
    column, row = expected.geometry.to_input(60, 106)  # the spot's middle in the file
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((column, row))


def test_what_cannot_be_used_is_named_and_counted(tmp_path):
    data = write_table(tmp_path / "data")
    (data / "1.png").write_bytes(b"no picture")
    (data / "2.png").unlink()
    Image.fromarray(np.full((50, 50), 7, np.uint8)).save(data / "4.png")
    usable = make(data, tmp_path / "work")
    reasons = dict(usable.refused)
    assert sorted(reasons) == ["1.png", "2.png", "4.png"]
    assert "neither DICOM nor a PNG" in reasons["1.png"]
    assert "cannot be read (No such file" in reasons["2.png"]
    assert "blank" in reasons["4.png"]
    assert len(usable.examples) == len(usable.positions) == len(usable.lesions) == 37
    assert not {"1.png", "2.png", "4.png"} & {example.file for example in usable.examples}


def test_the_digest_changes_with_an_image_and_with_a_label(tmp_path, prepared):
    data = write_table(tmp_path / "data")
    assert make(data, tmp_path / "w").digest == prepared.digest
    text = (data / "labels.csv").read_text()
    (data / "labels.csv").write_text(text.replace("L,CC,Normal", "L,CC,Negative", 1))
    assert make(data, tmp_path / "w").digest != prepared.digest
    (data / "labels.csv").write_text(text)
    (data / "0.png").write_bytes((data / "4.png").read_bytes())
    assert make(data, tmp_path / "w").digest != prepared.digest


def test_images_of_another_table_are_not_taken(tmp_path):
    data = write_table(tmp_path / "data")
    with pytest.raises(prepare.NotPreparedError, match="run `prepare`"):
        prepare.load(data, tmp_path / "work", rows=SIDE, columns=SIDE)
    make(data, tmp_path / "work")
    write_table(data, patients=20)
    with pytest.raises(prepare.NotPreparedError, match="another table"):
        prepare.load(data, tmp_path / "work", rows=SIDE, columns=SIDE)


def test_a_held_out_fold_is_not_in_the_training_set(prepared):
    fold_numbers = folds.of(prepared.examples, {})
    for fold in range(folds.FOLDS):
        held_out = {
            example.person
            for example, held_out_of in zip(prepared.examples, fold_numbers, strict=True)
            if held_out_of == fold
        }
        inside = {example.person for example in train.training_set(prepared, fold_numbers, fold).examples}
        assert held_out
        assert not held_out & inside


def test_a_resumed_run_gives_the_same_weights(prepared, finished, tmp_path):
    broken = shutil.copytree(finished.with_name("stopped"), tmp_path / "broken")
    assert not (broken / train.WEIGHTS).exists()
    resumed = run(prepared, broken, fold=0, resume=True)
    for name, values in weights_of(finished).items():
        np.testing.assert_array_equal(resumed[name], values)


def test_a_run_is_not_overwritten(prepared, copied):
    before = (copied / train.WEIGHTS).read_bytes()
    with pytest.raises(train.UnfinishedRunError, match="--resume"):
        run(prepared, copied, fold=0)
    run(prepared, copied, fold=0, resume=True)
    assert (copied / train.WEIGHTS).read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 4}, "another seed"),
        ({"fold": 1}, "another fold"),
        ({"recipe": with_epochs(RECIPE, 3)}, "another recipe"),
    ],
)
def test_a_run_is_not_resumed_with_other_terms(prepared, copied, changes, named):
    before = weights_of(copied)
    with pytest.raises(terms.OtherTermsError, match=named):
        run(prepared, copied, resume=True, **{"fold": 0, **changes})
    for name, values in run(prepared, copied, fold=0, resume=True).items():
        np.testing.assert_array_equal(values, before[name])


def test_a_run_that_does_not_say_its_terms_is_not_resumed(prepared, copied):
    (copied / terms.TERMS).unlink()
    with pytest.raises(terms.OtherTermsError, match="train again"):
        run(prepared, copied, fold=0, resume=True)


def test_a_fold_that_has_learned_from_its_held_out_images_is_not_evaluated(prepared, copied, tmp_path):
    fold_numbers = folds.of(prepared.examples, {})
    weights = {1: copied.rename(tmp_path / "fold-1") / train.WEIGHTS}
    with pytest.raises(terms.OtherTermsError, match="another fold"):
        held_out.write(prepared, fold_numbers, weights, RECIPE, tmp_path)


def test_the_lesion_loss_falls(finished):
    history = [json.loads(line) for line in (finished / train.HISTORY).read_text("utf-8").splitlines()]
    assert [epoch["stage"] for epoch in history] == ["lesions"] * 4 + ["head"]
    assert history[3]["loss"] < history[0]["loss"]


def test_a_new_head_leaves_the_convolutions_as_they_are(training_set):
    model = catalogue.build("document-cnn", rows=None, columns=None)
    before = {variable.path: np.asarray(variable) for variable in model.trainable_variables}
    head.fit(model, training_set, RECIPE.whole, np.random.default_rng(1), plainly)
    after = {variable.path: np.asarray(variable) for variable in model.trainable_variables}
    for name, values in before.items():
        assert np.array_equal(after[name], values) == name.startswith("convolution_")


def test_the_first_layer_of_a_new_head_takes_the_mean_away_and_scales(training_set):
    """The loss that training ended with is the loss of the whole network, not of its head alone."""
    keras.utils.set_random_seed(2)
    image = keras.Input((None, None, 1))
    activations = keras.layers.Conv2D(6, 3, 2, activation="relu")(image)
    pooled = keras.layers.GlobalAveragePooling2D(name="average")(activations)
    model = keras.Model(image, keras.layers.Dense(4, name=architecture.LOGITS)(pooled))
    stage = HeadStage(passes=1, epochs=60, batch=16, learning_rate=1e-2)
    loss = head.fit(model, training_set, stage, np.random.default_rng(1), plainly)
    balanced = balance(training_set.examples)
    images = training_set.images[training_set.positions][..., None].astype(np.float32) / 255
    target = np.array([example.target for example in training_set.examples], np.float32)
    whole = float(objective.loss(model(images), target, balanced.log_share, balanced.weight))
    assert whole == pytest.approx(loss, rel=0.05)


def test_a_new_head_goes_by_the_statistics_that_batch_normalisation_has_learned(training_set):
    keras.utils.set_random_seed(2)
    image = keras.Input((None, None, 1))
    normalised = keras.layers.BatchNormalization()(keras.layers.Conv2D(6, 3, 2)(image))
    pooled = keras.layers.GlobalAveragePooling2D(name="average")(normalised)
    model = keras.Model(image, keras.layers.Dense(4, name=architecture.LOGITS)(pooled))
    before = [np.asarray(weight) for weight in model.get_layer(index=2).weights]
    head.fit(model, training_set, RECIPE.whole, np.random.default_rng(1), plainly)
    for now, weights_before in zip(model.get_layer(index=2).weights, before, strict=True):
        np.testing.assert_array_equal(now, weights_before)


def test_training_without_lesions_says_what_it_wants(prepared, tmp_path):
    without_lesions = dataclasses.replace(prepared, lesions=tuple(() for _ in prepared.lesions))
    with pytest.raises(NoLesionsError, match="needs both"):
        run(without_lesions, tmp_path)


@pytest.mark.parametrize(("images", "batch", "least"), [(9, 8, 16), (31, 64, 32)])
def test_too_few_images_for_a_new_head_are_refused(training_set, images, batch, least):
    few = dataclasses.replace(
        training_set,
        positions=training_set.positions[:images],
        examples=training_set.examples[:images],
        lesions=training_set.lesions[:images],
    )
    stage = HeadStage(passes=2, epochs=1, batch=batch, learning_rate=1e-3)
    model = catalogue.build("document-cnn", rows=None, columns=None)
    with pytest.raises(head.TooFewImagesError, match=f"needs {least}"):
        head.fit(model, few, stage, np.random.default_rng(1), plainly)


def test_predictions_are_the_models_logits(prepared):
    model = catalogue.build("document-cnn", rows=SIDE, columns=SIDE)
    numbers = np.array([5, 0, 9])
    logits = train.predict(model, prepared, numbers)
    images = prepared.images[prepared.positions[numbers]][..., None].astype(np.float32) / 255
    scores = np.asarray(model(images))
    np.testing.assert_allclose(np.asarray(tf.nn.softmax(logits)), scores, atol=1e-6)


def test_every_recipe_builds_its_network():
    for name, recipe in RECIPES.items():
        assert recipe.network == name
        assert catalogue.build(name, rows=recipe.rows, columns=recipe.columns).output_shape == (None, 4)


def test_examples_know_no_path_when_they_come_from_predictions():
    assert Example(
        file="", source="s", device="", patient="p", laterality="L", view="CC", label="Normal"
    ).person == ("s", "p")
