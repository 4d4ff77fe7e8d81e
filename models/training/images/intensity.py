"""Grey values of cut-outs, changed as scanners, exposures and archives change them: contrast, blur, noise.

Drawn with NumPy from the caller's generator, applied by TensorFlow. Background stays black.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.network.engine import tf

COLUMNS: Final = 6
"""Numbers of one cut-out: logarithm of gamma, gain, offset, share of blur, noise, seed of the noise."""

_DARKEST: Final = 1e-4
"""Grey value below which a power would lose its slope."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """How far grey values may change; each number is drawn evenly within its limits."""

    log_gamma: float
    """The exponent lies between exp(-log_gamma) and exp(log_gamma)."""
    gain: float
    """Contrast is multiplied with 1 - gain to 1 + gain."""
    offset: float
    """Brightness, of white = 1, either way."""
    blurred: float
    """Share of the cut-outs that are mixed with their own half resolution, in any proportion."""
    noisy: float
    """Share of the cut-outs that get Gaussian noise."""
    noise: float
    """Largest standard deviation of the noise, of white = 1."""


LESION: Final = Spread(log_gamma=0.4, gain=0.2, offset=0.06, blurred=0.3, noisy=0.5, noise=0.04)
WHOLE: Final = Spread(log_gamma=0.4, gain=0.2, offset=0.06, blurred=0.5, noisy=0.5, noise=0.06)
"""More blur and noise than for cut-outs: whole images lost too much by them, as `robustness` has measured."""


def draw(generator: np.random.Generator, count: int, spread: Spread) -> NDArray[np.float32]:
    """Draw the numbers of ``count`` cut-outs: (count, `COLUMNS`), as `apply` wants them."""
    blurred = generator.random(count) < spread.blurred
    noisy = generator.random(count) < spread.noisy
    return np.stack(
        [
            generator.uniform(-spread.log_gamma, spread.log_gamma, count),
            generator.uniform(1 - spread.gain, 1 + spread.gain, count),
            generator.uniform(-spread.offset, spread.offset, count),
            np.where(blurred, generator.random(count), 0),
            np.where(noisy, generator.uniform(0, spread.noise, count), 0),
            generator.integers(1 << 20, size=count),
        ],
        axis=1,
    ).astype(np.float32)


def apply(images: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Change images (n, rows, columns, 1), 0 to 1, by numbers from `draw`; what is 0 stays 0."""
    log_gamma, gain, offset, blur, noise, _ = (
        part[:, tf.newaxis, tf.newaxis, tf.newaxis] for part in tf.unstack(numbers, axis=1)
    )
    bent = tf.pow(tf.clip_by_value(images, _DARKEST, 1.0), tf.exp(log_gamma)) * gain + offset
    half = tf.image.resize(tf.nn.avg_pool2d(bent, 2, 2, "SAME"), tf.shape(images)[1:3])
    mixed = bent + blur * (half - bent)
    seed = tf.cast(tf.stack([numbers[0, 5], numbers[-1, 5]]), tf.int32)
    grain = tf.random.stateless_normal(tf.shape(images), seed)
    return tf.where(images > 0, tf.clip_by_value(mixed + noise * grain, 0.0, 1.0), 0.0)
