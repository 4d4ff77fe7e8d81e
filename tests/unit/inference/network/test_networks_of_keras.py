"""ResNet50 and DenseNet121 for grey images: built, kept with their statistics, honest about their start."""

import numpy as np
import pytest

from inference.network import catalogue, weights
from inference.network.engine import keras
from tests.support import models  # noqa: F401 - fixes the threads of this process

IMAGES = np.random.default_rng(1).random((2, 64, 64, 1), np.float32)


@pytest.mark.parametrize(("network", "channels"), [("resnet50", 2048), ("densenet121", 1024)])
def test_activations_and_logits_come_from_grey_images(network, channels):
    model = catalogue.build(network, rows=None, columns=None)
    activations, logits = catalogue.with_activations(model)(IMAGES)
    assert activations.shape == (2, 2, 2, channels)
    assert float(np.min(activations)) >= 0
    assert logits.shape == (2, 4)
    np.testing.assert_allclose(np.asarray(model(IMAGES)).sum(axis=1), 1, rtol=1e-5)


def test_normalisation_statistics_are_kept_with_the_weights(tmp_path):
    model = catalogue.build("densenet121", rows=None, columns=None)
    layer = model.get_layer("conv1_bn")
    layer.moving_mean.assign(np.linspace(-1, 1, 64))
    layer.moving_variance.assign(np.linspace(1, 2, 64))
    weights.save_weights(model, tmp_path / "w.npz")
    other_network = catalogue.build("densenet121", rows=None, columns=None)
    weights.load_weights(other_network, tmp_path / "w.npz")
    np.testing.assert_array_equal(
        other_network.get_layer("conv1_bn").moving_variance, np.linspace(1, 2, 64, dtype="f4")
    )
    np.testing.assert_array_equal(model(IMAGES), other_network(IMAGES))


def test_imagenets_weights_make_the_librarys_own_network():
    networks = []

    def downloaded(**words):
        networks.append(keras.applications.ResNet50(**{**words, "weights": None}))
        return networks[-1]

    application = catalogue._Application(
        builder=downloaded, preprocess=keras.applications.resnet.preprocess_input
    )
    image = keras.Input((None, None, 1))
    model = keras.Model(image, application.layers(image, 4))
    start = application.from_imagenet(model, None)
    assert (start.origin, start.is_random) == ("ImageNet (keras.applications)", False)
    colour = keras.applications.resnet.preprocess_input(np.repeat(IMAGES, 3, axis=-1) * 255)
    activations = keras.Model(image, model.get_layer("conv5_block3_out").output)(IMAGES)
    np.testing.assert_allclose(activations, networks[-1](colour), atol=1e-4)


def test_weights_that_cannot_be_downloaded_are_a_random_start_with_its_reason(monkeypatch, tmp_path):
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")  # nobody listens there
    monkeypatch.setenv("no_proxy", "")
    start = catalogue.start(catalogue.build("resnet50", rows=None, columns=None))
    assert (start.origin, start.is_random) == ("random", True)
    assert "could not be downloaded" in start.reason


def test_other_failures_of_the_library_are_not_hidden():
    def broken(**_):
        raise ValueError("something else")

    application = catalogue._Application(builder=broken, preprocess=lambda images: images)
    with pytest.raises(ValueError, match="something else"):
        application.from_imagenet(catalogue.build("document-cnn", rows=32, columns=32), None)
