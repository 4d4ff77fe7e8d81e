"""EfficientNet-Lite0: what it computes from published weights, and its parts."""

import numpy as np
import pytest

from inference.network import catalogue, weights
from inference.network import efficientnet_lite as parts
from inference.network import efficientnet_lite_imagenet as published
from inference.network.engine import keras, tf
from tests.support import models  # noqa: F401 - fixes the threads of this process
from tests.support.published_lite0 import layout, write_published


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_published(tmp_path_factory.mktemp("weights") / "lite0.npz")


def as_published(images, arrays):
    """Compute the last activations step by step, in colour and with batch normalisation, as published."""

    def convolve(x, kernel, normalisation, stride=1, depthwise=False):
        weight = arrays[f"{kernel}.weight"]
        if depthwise:
            x = tf.nn.depthwise_conv2d(x, weight.transpose(2, 3, 0, 1), [1, stride, stride, 1], "SAME")
        else:
            x = tf.nn.conv2d(x, weight.transpose(2, 3, 1, 0), stride, "SAME")
        gamma, beta, mean, variance = (
            arrays[f"{normalisation}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")
        )
        return gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta

    x = (np.repeat(images, 3, axis=-1) * 255 - 127) / 128
    x = tf.nn.relu6(convolve(x, "_conv_stem", "_bn0", 2))
    for number, (_, stride, expansion, inputs, outputs) in enumerate(layout()):
        name, before = f"_blocks.{number}.", x
        if expansion > 1:
            x = tf.nn.relu6(convolve(x, f"{name}_expand_conv", f"{name}_bn0"))
        x = tf.nn.relu6(convolve(x, f"{name}_depthwise_conv", f"{name}_bn1", stride, depthwise=True))
        x = convolve(x, f"{name}_project_conv", f"{name}_bn2")
        if stride == 1 and inputs == outputs:
            x = x + before
    return tf.nn.relu6(convolve(x, "_conv_head", "_bn1"))


def test_published_weights_give_the_published_networks_activations(file):
    model = catalogue.build("efficientnet-lite0", rows=64, columns=96)
    start = catalogue.start(model, imagenet=file)
    assert (start.origin, start.is_random) == ("ImageNet (file lite0.npz)", False)
    images = np.random.default_rng(1).random((2, 64, 96, 1), np.float32)
    activations, logits = catalogue.with_activations(model)(images)
    assert (activations.shape, logits.shape) == ((2, 2, 3, 1280), (2, 4))
    assert 0 < float(np.max(activations)) <= 6
    np.testing.assert_allclose(activations, as_published(images, np.load(file)), atol=2e-4)


def test_without_a_file_the_network_starts_from_random_weights_and_says_why():
    model = catalogue.build("efficientnet-lite0", rows=32, columns=32)
    before = [np.asarray(weight) for weight in model.weights]
    start = catalogue.start(model)
    assert (start.origin, start.is_random) == ("random", True)
    assert "no file" in start.reason
    for item, two in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(item, two)


def test_random_weights_keep_the_size_of_the_signal():
    keras.utils.set_random_seed(1)
    model = catalogue.build("efficientnet-lite0", rows=64, columns=64)
    activations, _ = catalogue.with_activations(model)(np.random.default_rng(1).random((2, 64, 64, 1)))
    assert 0.05 < float(np.std(activations)) < 3


def test_two_late_parts_stand_on_one_early_part(file):
    image = keras.Input((64, 64, 1))
    early = parts.layers_until(image, 9)
    lates = [parts.layers_from(early, 9, prefix=prefix) for prefix in ("", "other_")]
    model = keras.Model(image, lates)
    published.fill(model, published.read(file))
    published.fill(model, published.read(file), prefix="other_")
    first_image, second_image = model(np.random.default_rng(1).random((1, 64, 64, 1)))
    np.testing.assert_array_equal(first_image, second_image)
    assert model.get_layer("other_block_9_expansion") is not model.get_layer("block_9_expansion")
    assert "other_block_8_expansion" not in {layer.name for layer in model.layers}


def test_a_part_that_is_not_there_is_refused(file):
    image = keras.Input((32, 32, 1))
    model = keras.Model(image, parts.layers_until(image, 0, prefix="mine_"))
    with pytest.raises(weights.WeightsError, match="theirs_"):
        published.fill(model, published.read(file), prefix="theirs_")


@pytest.mark.parametrize("missing", ["_conv_head.weight", "_blocks.15._bn2.running_var"])
def test_a_file_that_lacks_an_array_is_refused_by_its_name(file, tmp_path, missing):
    with np.load(file) as arrays:
        np.savez(tmp_path / "less.npz", **{name: arrays[name] for name in arrays.files if name != missing})
    with pytest.raises(weights.WeightsError, match=missing):
        published.read(tmp_path / "less.npz")


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "w.npz").write_text("no weights")
    with pytest.raises(weights.WeightsError, match="not a file of weights"):
        published.read(tmp_path / "w.npz")
    with pytest.raises(weights.WeightsError, match="not a file of weights"):
        published.read(tmp_path / "absent.npz")


def test_arrays_of_another_shape_are_refused(file, tmp_path):
    with np.load(file) as arrays:
        changed = {name: arrays[name] for name in arrays.files}
    changed["_conv_head.weight"] = changed["_conv_head.weight"][:, :300]
    np.savez(tmp_path / "narrow.npz", **changed)
    model = catalogue.build("efficientnet-lite0", rows=32, columns=32)
    with pytest.raises(weights.WeightsError, match="head"):
        catalogue.start(model, imagenet=tmp_path / "narrow.npz")
