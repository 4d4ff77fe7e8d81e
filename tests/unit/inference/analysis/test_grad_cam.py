"""Grad-CAM: its weights checked by hand and by finite differences."""

import numpy as np

from inference.analysis import classifier
from inference.network import architecture, catalogue
from inference.network.engine import keras, tf
from tests.support.models import random_network


def test_channels_are_weighed_by_their_mean_gradient_and_the_negative_is_cut():
    activations = np.zeros((1, 2, 2, 2), np.float32)
    activations[0, 0, 0] = 4, 1
    activations[0, 1, 1] = 1, 3
    gradients = np.zeros((1, 2, 2, 2), np.float32)
    gradients[0, ..., 0] = [[1, 0], [1, 2]]  # mean 1
    gradients[0, ..., 1] = [[-4, 0], [0, -4]]  # mean -2
    heat = classifier.grad_cam(tf.constant(activations), tf.constant(gradients)).numpy()
    np.testing.assert_allclose(heat, [[[2, 0], [0, 0]]])  # 4 - 2; 1 - 6 is cut


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
    gradients = tape.gradient(logit, activations)
    weights = tf.reduce_mean(gradients, axis=(1, 2))[0].numpy()
    cells = activations.shape[1] * activations.shape[2]
    step = 1e-2
    for channel in np.argsort(-np.abs(weights))[:5]:
        raise_by = np.zeros(activations.shape[-1], np.float32)
        raise_by[channel] = step
        moved = head(activations + raise_by)[0, 3] - head(activations - raise_by)[0, 3]
        np.testing.assert_allclose(float(moved) / (2 * step * cells), weights[channel], rtol=0.02)
