"""The classifier: scores, what is explained, and the map, from one compiled call."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from inference.analysis.classifier import Classifier
from inference.errors import Failed, ModelError
from inference.findings import EXPLAINABLE, ClassKey
from inference.network import catalogue, manifest
from inference.network.engine import tf
from tests.support.models import model_folder, random_network

SHAPE = (64, 48, 1)


@pytest.fixture(scope="module")
def model():
    return random_network()


@pytest.fixture
def opened(tmp_path, model):
    def open_(net=model, *, batch=1, **values):
        return Classifier.open(manifest.load(model_folder(tmp_path / "m", net, **values)), batch=batch)

    return open_


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(7).random((5, *SHAPE), np.float32)


def test_scores_are_the_networks(opened, model, images):
    expected = np.asarray(model(images))
    for reading, scores in zip(opened().read(images), expected, strict=True):
        np.testing.assert_allclose(reading.scores, scores, atol=1e-6)


def test_the_bias_is_added_behind_the_temperature(opened, model, images):
    bias = (0.5, -1.0, 0.0, 2.0)
    _, logits = catalogue.with_activations(model)(images)
    expected = np.asarray(tf.nn.softmax(logits / 2.5 + bias))
    scored = [reading.scores for reading in opened(temperature=2.5, bias=bias).read(images)]
    np.testing.assert_allclose(scored, expected, atol=1e-6)


def test_the_temperature_divides_the_logits(opened, model, images):
    _, logits = catalogue.with_activations(model)(images)
    expected = np.asarray(tf.nn.softmax(logits / 2.5))
    scored = [reading.scores for reading in opened(temperature=2.5).read(images)]
    np.testing.assert_allclose(scored, expected, atol=1e-6)


def test_a_batch_gives_the_same_as_single_images(opened, images):
    whole = opened(batch=4).read(images)
    classifier = opened(batch=4)
    for number, reading in enumerate(whole):
        (alone,) = classifier.read(images[number : number + 1])
        np.testing.assert_allclose(alone.scores, reading.scores, atol=1e-6)
        np.testing.assert_allclose(alone.maps, reading.maps, atol=1e-5 * reading.maps.max() + 1e-9)


def test_the_same_batch_gives_the_same_bits(opened, images):
    classifier = opened(batch=4)
    for item, two in zip(classifier.read(images), classifier.read(images), strict=True):
        assert item.scores == two.scores
        assert item.maps.tobytes() == two.maps.tobytes()


def test_nothing_is_traced_after_opening(opened, images):
    classifier = opened(batch=4)
    before = classifier._call.experimental_get_tracing_count()
    for length in (1, 3, 4, 5):
        classifier.read(images[:length])
    assert before == classifier._call.experimental_get_tracing_count() == 1


def test_an_empty_batch_is_no_reading(opened):
    assert opened().read(np.zeros((0, *SHAPE), np.float32)) == []


def test_images_of_another_size_are_refused(opened):
    with pytest.raises(ValueError, match=r"\(64, 64, 1\).*\(64, 48, 1\)"):
        opened().read(np.zeros((1, 64, 64, 1), np.float32))


def test_each_class_that_can_be_explained_has_a_map_of_its_own(opened, images):
    for reading in opened().read(images):
        assert reading.maps.shape[0] == len(EXPLAINABLE)
        assert not np.allclose(reading.maps[0], reading.maps[2])


def test_other_weights_in_the_last_layers_change_the_map(opened, images):
    other_network = random_network()
    for name in ("dense", "logits"):
        kernel = other_network.get_layer(name).kernel
        kernel.assign(np.random.default_rng(99).normal(0, 0.3, kernel.shape))
    first, second = opened().read(images), opened(other_network).read(images)
    for before, after in zip(first, second, strict=True):
        assert not np.allclose(before.maps, after.maps, rtol=0.05)


def test_an_image_without_usable_scores_fails_alone(opened, images):
    spoiled = images.copy()
    spoiled[1, 10, 10] = np.nan
    readings = opened(batch=4).read(spoiled)
    assert [isinstance(reading, Failed) for reading in readings] == [False, True, False, False, False]
    assert "no usable score" in str(readings[1])


def test_a_network_without_usable_numbers_fails_every_image(opened, images):
    spoiled = random_network()
    spoiled.get_layer("logits").bias.assign([0, 0, np.nan, 0])
    assert all(isinstance(reading, Failed) for reading in opened(spoiled).read(images))


def test_the_identity_is_the_manifests(opened):
    identity = opened().identity
    assert (identity.name, identity.version, identity.calibrated) == ("test-net", "0.0.1", False)
    assert identity.meanings[ClassKey.MALIGNANT] == "cancer"


def test_weights_that_the_manifest_does_not_know_are_not_loaded(opened):
    with pytest.raises(ModelError, match="SHA-256"):
        opened(sha256="0" * 64)


def test_weights_of_another_network_are_refused(opened, tmp_path, model):
    description = manifest.load(model_folder(tmp_path / "x", model))
    with pytest.raises(ModelError, match="network 'vgg' is not known"):
        Classifier.open(dataclasses.replace(description, network="vgg"))


def test_another_preprocessing_is_refused(opened):
    with pytest.raises(ModelError, match="breast-crop-0"):
        opened(preprocessing="breast-crop-0")


def test_another_number_of_threads_than_the_process_has_is_refused(opened, tmp_path, model):
    opened()
    with pytest.raises(ModelError, match="threads"):
        Classifier.open(manifest.load(tmp_path / "m"), threads=1)


def test_opening_prints_nothing_and_loads_nothing_that_keras_can_do_without(tmp_path, model):
    folder = model_folder(tmp_path / "quiet", model)
    program = (
        "import sys; from importlib.util import find_spec;"
        "from pathlib import Path; from inference.network import manifest;"
        "from inference.analysis.classifier import Classifier;"
        f"Classifier.open(manifest.load(Path({str(folder)!r})));"
        "assert not {'matplotlib', 'sklearn'} & set(sys.modules);"
        "assert find_spec('matplotlib') and find_spec('sklearn')"  # whoever wants them has them
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr) == ("", "")
