"""Grad-CAM: its weights checked by hand, by finite differences, and by gradients that go all the way back."""

import numpy as np
import pytest

from inference.analysis import classifier
from inference.network import architecture, catalogue, secondread
from inference.network.engine import keras, tf
from tests.support.models import random_network


def test_channels_are_weighed_by_their_mean_gradient_and_the_negative_is_cut():
    activations = np.zeros((1, 2, 2, 2), np.float32)
    activations[0, 0, 0] = 4, 1
    activations[0, 1, 1] = 1, 3
    gradients = np.array([[[1, -2], [0, 1]]], np.float32)
    maps = classifier.grad_cam(tf.constant(activations), tf.constant(gradients)).numpy()
    # 4 - 2; 1 - 6 is cut
    np.testing.assert_allclose(maps, [[[[2, 0], [0, 0]], [[1, 0], [0, 3]]]])


def test_the_weights_agree_with_finite_differences():
    """Raise one channel everywhere by a little: the logit moves by the sum of its gradients."""
    model = random_network()
    image = np.random.default_rng(3).random((1, 64, 48, 1), np.float32)
    opened = catalogue.with_activations(model)
    head = keras.Model(
        model.get_layer(catalogue.last_convolution(model)).output, model.get_layer(architecture.LOGITS).output
    )
    with tf.GradientTape() as tape:
        activations, logits = opened(image)
        logit = logits[:, 3]
    weights = catalogue.head(model).mean_gradient([tape.gradient(logit, activations)])[0].numpy()
    cells = activations.shape[1] * activations.shape[2]
    step = 1e-2
    for channel in np.argsort(-np.abs(weights))[:5]:
        raise_by = np.zeros(activations.shape[-1], np.float32)
        raise_by[channel] = step
        moved = head(activations + raise_by)[0, 3] - head(activations - raise_by)[0, 3]
        np.testing.assert_allclose(float(moved) / (2 * step * cells), weights[channel], rtol=0.02)


@pytest.mark.parametrize("network", [secondread.NAME, secondread.joined(1), secondread.joined(2)])
def test_the_gradient_of_our_own_head_is_that_of_the_activations(network):
    """Behind the poolings it is the same, averaged over all places, as where the branches end."""
    model = catalogue.build(network, rows=96, columns=64)
    generator = np.random.default_rng(11)
    for variable in model.trainable_variables:
        if secondread.is_head(variable.path) or "places" in variable.path:
            variable.assign(generator.normal(0, 0.05, variable.shape))
    images = generator.random((3, 96, 64, 1), np.float32)
    head = catalogue.head(model)
    branches = 2 if network == secondread.joined(2) else 1
    names = [f"{secondread.branch_prefix(branch)}head" for branch in range(branches)]
    ends = [model.get_layer(name).output for name in names]
    opened = keras.Model(model.inputs[0], [model.get_layer(architecture.LOGITS).output, *head.inputs, *ends])
    with tf.GradientTape(persistent=True) as tape:
        logits, *tensors = opened(images, training=False)
        inputs, activations = tensors[: len(head.inputs)], tensors[len(head.inputs) :]
        logit = logits[:, 2]
    ways = [
        way
        for gradient in tape.gradient(logit, activations)
        for way in np.split(np.mean(gradient, axis=(1, 2)), len(gradient) // len(images))
    ]
    expected = np.concatenate(ways, axis=-1)
    assert np.abs(expected).max() > 0
    gradient = head.mean_gradient(tape.gradient(logit, inputs)).numpy()
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-7)
