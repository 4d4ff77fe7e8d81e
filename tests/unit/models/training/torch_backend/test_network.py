"""The network in torch reads as the Keras definition does."""

import numpy as np
import pytest

from inference.network import architecture, secondread
from inference.network.engine import keras

torch = pytest.importorskip("torch", reason="torch, the extra gpu, is not installed")


def opened(model):
    places = model.get_layer("branch_0_places").output
    return keras.Model(model.inputs[0], [model.get_layer(architecture.LOGITS).output, places])


def test_an_image_gets_the_same_logits_and_places(keras_network, network):
    images = np.random.default_rng(1).random((2, 96, 64, 1), np.float32)
    logits, places = opened(keras_network)(images, training=False)
    network.eval()
    with torch.no_grad():
        own_logits, found_places = network(torch.from_numpy(images.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(own_logits, logits, atol=1e-4)
    np.testing.assert_allclose(found_places, places, atol=1e-3)


def test_a_cut_out_is_judged_by_the_layer_that_judges_places(keras_network, network):
    images = np.random.default_rng(1).random((2, 96, 64, 1), np.float32)
    judged = secondread.lesion_reader(keras_network)(images, training=False)
    network.eval()
    with torch.no_grad():
        own_logits = network.judge_cut_outs(torch.from_numpy(images.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(own_logits, judged, atol=1e-4)


def test_blocks_are_passed_over_only_while_training(network):
    images = torch.rand(4, 1, 96, 64)
    with torch.no_grad():
        network.train()
        assert not torch.equal(network.activations(images), network.activations(images))
        network.eval()
        assert torch.equal(network.activations(images), network.activations(images))
