"""What torch has learned goes back into the TensorFlow network."""

import numpy as np
import pytest

from inference.network import architecture, catalogue, secondread, weights
from inference.network.engine import keras

torch = pytest.importorskip("torch", reason="torch, the extra gpu, is not installed")

from models.training.torch_backend.network import (  # noqa: E402 - after the question whether there is torch
    save_weights,
    to_keras,
)


def test_the_network_of_the_node_gives_the_same_logits_with_weights_from_torch(network, tmp_path):
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.01)
    save_weights(network, tmp_path / "weights.npz")
    model = catalogue.build(secondread.NAME, rows=96, columns=64)
    weights.load_weights(model, tmp_path / "weights.npz")
    for variable in model.weights:
        np.testing.assert_array_equal(np.asarray(variable), to_keras(network)[variable.path])
    images = np.random.default_rng(2).random((2, 96, 64, 1), np.float32)
    logits = keras.Model(model.inputs[0], model.get_layer(architecture.LOGITS).output)(images, training=False)
    network.eval()
    with torch.no_grad():
        own_logits, _ = network(torch.from_numpy(images.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(own_logits, logits, atol=1e-3)
