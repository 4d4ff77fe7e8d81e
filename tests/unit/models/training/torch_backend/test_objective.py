"""The losses in torch are those of TensorFlow, and so are their gradients."""

import numpy as np
import pytest

from inference.network.engine import tf
from models.training.learning import objective as with_tensorflow

torch = pytest.importorskip("torch", reason="torch, the extra gpu, is not installed")

from models.training.torch_backend import objective  # noqa: E402 - after the question whether there is torch


def test_the_loss_of_whole_images_and_its_gradient_are_those_of_tensorflow():
    generator = np.random.default_rng(3)
    logits = generator.normal(size=(6, 4)).astype(np.float32)
    place_logits = generator.normal(size=(6, 3, 2, 4)).astype(np.float32)
    target = np.float32([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    log_share = np.log(generator.dirichlet(np.ones(4), 6)).astype(np.float32)
    weight, malignant_weight = generator.random((2, 6)).astype(np.float32)
    places = generator.integers(-1, 2, (6, 3, 2))
    with tf.GradientTape() as tape:
        variables = tf.constant(logits), tf.constant(place_logits)
        tape.watch(variables)
        expected = with_tensorflow.whole_loss(variables, target, log_share, weight, malignant_weight, places)
    slopes = tape.gradient(expected, variables)
    leaves = torch.tensor(logits, requires_grad=True), torch.tensor(place_logits, requires_grad=True)
    questions = objective.Questions(
        target=torch.from_numpy(target),
        log_share=torch.from_numpy(log_share),
        weight=torch.from_numpy(weight),
        malignant_weight=torch.from_numpy(malignant_weight),
        places=torch.from_numpy(places),
    )
    loss = objective.whole_losses(*leaves, questions).mean()
    loss.backward()
    assert loss.item() == pytest.approx(float(expected), rel=1e-5)
    for slope, leaf in zip(slopes, leaves, strict=True):
        np.testing.assert_allclose(leaf.grad, slope, atol=1e-6)
