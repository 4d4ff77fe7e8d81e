"""The networks: as the document says, and their weights kept as plain arrays."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from inference.network import catalogue, weights
from inference.network.engine import keras, tf
from tests.support import models  # noqa: F401 - fixes the threads of this process


@pytest.fixture(scope="module")
def model():
    return catalogue.build("document-cnn", rows=244, columns=244)


def test_the_documents_network_is_as_the_document_says(model):
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.filters for layer in convolutions] == [32, 64, 128, 258]
    assert {layer.kernel_size for layer in convolutions} == {(3, 3)}
    assert {layer.padding for layer in convolutions} == {"same"}
    assert {layer.activation.__name__ for layer in convolutions} == {"relu"}
    pools = [layer for layer in model.layers if isinstance(layer, keras.layers.MaxPooling2D)]
    assert [layer.pool_size for layer in pools] == [(2, 2), (3, 3), (3, 3), (3, 3)]
    assert {layer.strides for layer in pools} == {(2, 2)}
    assert [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)] == [0.3, 0.5]
    dense, logits = (layer for layer in model.layers if isinstance(layer, keras.layers.Dense))
    assert (dense.units, float(dense.kernel_regularizer.l2)) == (64, pytest.approx(0.001))
    assert logits.units == 4
    assert model.input_shape == (None, 244, 244, 1)
    assert model.count_params() == 406_982


def test_the_last_convolution_is_the_one_with_258_filters(model):
    assert model.get_layer(catalogue.last_convolution(model)).filters == 258


def test_scores_add_up_and_come_from_the_logits(model):
    images = np.random.default_rng(1).random((2, 244, 244, 1), np.float32)
    activations, logits = catalogue.with_activations(model)(images)
    scores = np.asarray(model(images))
    assert activations.shape == (2, 29, 29, 258)
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(scores, tf.nn.softmax(logits), rtol=1e-5)


def test_weights_come_back_from_their_file(model, tmp_path):
    weights.save_weights(model, tmp_path / "w.npz")
    other_network = catalogue.build("document-cnn", rows=None, columns=None)
    weights.load_weights(other_network, tmp_path / "w.npz")
    for item, two in zip(model.get_weights(), other_network.get_weights(), strict=True):
        np.testing.assert_array_equal(item, two)


def test_the_same_weights_give_the_same_bytes(model, tmp_path):
    weights.save_weights(model, tmp_path / "a.npz")
    weights.save_weights(model, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_the_shipped_file_comes_back_byte_for_byte(model, tmp_path):
    shipped = Path(str(resources.files("models"))) / "document-cnn-1.2.0" / "weights.npz"
    weights.load_weights(model, shipped)
    weights.save_weights(model, tmp_path / "w.npz")
    assert (tmp_path / "w.npz").read_bytes() == shipped.read_bytes()


def test_half_precision_halves_the_file_and_rounds(model, tmp_path):
    weights.save_weights(model, tmp_path / "full.npz")
    weights.save_weights(model, tmp_path / "half.npz", dtype=np.float16)
    assert (tmp_path / "half.npz").stat().st_size < 0.51 * (tmp_path / "full.npz").stat().st_size
    other_network = catalogue.build("document-cnn", rows=None, columns=None)
    weights.load_weights(other_network, tmp_path / "half.npz")
    for item, two in zip(model.get_weights(), other_network.get_weights(), strict=True):
        assert two.dtype == np.float32
        np.testing.assert_allclose(item, two, rtol=2**-10, atol=2**-14)


def test_weights_too_large_for_half_precision_are_refused(tmp_path):
    large = catalogue.build("document-cnn", rows=32, columns=32)
    large.get_layer("logits").bias.assign([0, 0, 1e5, 0])
    with pytest.raises(weights.WeightsError, match="logits/bias"):
        weights.save_weights(large, tmp_path / "w.npz", dtype=np.float16)
    assert not (tmp_path / "w.npz").exists()


def test_frozen_layers_are_kept_too(tmp_path):
    frozen = catalogue.build("document-cnn", rows=32, columns=32)
    frozen.get_layer("convolution_1").trainable = False
    weights.save_weights(frozen, tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz") as arrays:
        assert "convolution_1/kernel" in arrays.files


def test_a_network_that_imagenet_never_trained_starts_from_random_weights(model):
    assert catalogue.start(model).is_random


def arrays_of(model):
    return {variable.path: np.asarray(variable) for variable in model.trainable_variables}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop("logits/bias"), "lacks logits/bias"),
        (lambda arrays: arrays.update(extra=np.zeros(1)), "has not: extra"),
        (lambda arrays: arrays.update({"logits/bias": np.zeros(5)}), r"logits/bias is \(5,\)"),
    ],
)
def test_weights_of_another_network_are_refused(model, tmp_path, change, message):
    arrays = arrays_of(model)
    change(arrays)
    np.savez(tmp_path / "w.npz", **arrays)
    with pytest.raises(weights.WeightsError, match=message):
        weights.load_weights(model, tmp_path / "w.npz")


def test_a_pickle_is_never_opened(model, tmp_path):
    np.savez(tmp_path / "w.npz", **{name: np.array([None]) for name in arrays_of(model)})
    with pytest.raises(weights.WeightsError, match="not a file of weights"):
        weights.load_weights(model, tmp_path / "w.npz")


def test_a_broken_file_is_refused(model, tmp_path):
    (tmp_path / "w.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(weights.WeightsError, match="not a file of weights"):
        weights.load_weights(model, tmp_path / "w.npz")


def test_an_unknown_network_is_refused_with_a_list():
    with pytest.raises(catalogue.UnknownNetworkError, match="document-cnn"):
        catalogue.build("vgg", rows=32, columns=32)
