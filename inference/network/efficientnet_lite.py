"""EfficientNet-Lite0 for grey images, in parts that other networks are built of.

The network of Tan and Le 2019 in the form for processors (Google 2020): no squeeze-and-excitation, ReLU6. Two
things differ from its publication, and neither changes what it computes from a grey image: the stem has one
input channel, and batch normalisation is folded into the convolutions. Folded, it cannot drift with small
batches, and costs nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise, repeat
from typing import Any, Final, TypeAlias

from inference.network.architecture import pooled_logits
from inference.network.engine import keras

Tensor: TypeAlias = Any
"""A Keras tensor; Keras ships no types."""

STEM: Final = "stem"
HEAD: Final = "head"
"""Name of the last convolution; 1280 channels, one place for 32 by 32 pixels."""
_STEM_CHANNELS: Final = 32
HEAD_CHANNELS: Final = 1280
"""Of EfficientNet-Lite0 as published (Tan and Le 2019, and the release of the Lite variants in 2020)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One inverted residual block (Sandler et al. 2018): widen, look around, narrow."""

    number: int
    kernel: int
    """Side of the depthwise convolution."""
    stride: int
    expansion: int
    """How many times wider the block is inside; 1 means that it is not widened."""
    inputs: int
    """Channels."""
    outputs: int

    @property
    def is_residual(self) -> bool:
        """Whether the block's input is added to what it gives."""
        return self.stride == 1 and self.inputs == self.outputs

    def name(self, part: str) -> str:
        """Name one of its layers; ``part`` is expansion, depthwise, projection or sum."""
        return f"block_{self.number}_{part}"


def _blocks() -> tuple[Block, ...]:
    # repeats, kernel, stride of the first, expansion, channels: Tan and Le 2019, table 1
    stages = (
        (1, 3, 1, 1, 16),
        (2, 3, 2, 6, 24),
        (2, 5, 2, 6, 40),
        (3, 3, 2, 6, 80),
        (3, 5, 1, 6, 112),
        (4, 5, 2, 6, 192),
        (1, 3, 1, 6, 320),
    )
    channels = chain([_STEM_CHANNELS], chain.from_iterable(repeat(stage[4], stage[0]) for stage in stages))
    firsts = set(accumulate((stage[0] for stage in stages), initial=0))
    stage_of_block = chain.from_iterable(repeat(stage, stage[0]) for stage in stages)
    return tuple(
        Block(
            number=number,
            kernel=kernel,
            stride=stride if number in firsts else 1,
            expansion=expansion,
            inputs=inputs,
            outputs=outputs,
        )
        for number, ((_, kernel, stride, expansion, _), (inputs, outputs)) in enumerate(
            zip(stage_of_block, pairwise(channels), strict=True)
        )
    )


BLOCKS: Final = _blocks()
"""The sixteen blocks, in order."""


def layers(image: Tensor, classes: int) -> Tensor:
    """Build the whole network, with one dense layer on the average of the last convolution."""
    return pooled_logits(layers_from(layers_until(image, len(BLOCKS)), len(BLOCKS)), classes)


def layers_until(image: Tensor, block: int, *, prefix: str = "") -> Tensor:
    """Build the first part: from images 0 to 1 up to the input of ``block``.

    Parameters
    ----------
    image
        (n, rows, columns, 1).
    block
        0 to 16; 0 is the stem alone.
    prefix
        Goes before the name of each layer, where one model holds the part several times.
    """
    x = keras.layers.Rescaling(255 / 128, -127 / 128, name=f"{prefix}rescaling")(image)
    x = _convolution(x, _STEM_CHANNELS, side=3, stride=2, name=f"{prefix}{STEM}")
    for early in BLOCKS[:block]:
        x = _block(x, early, prefix)
    return x


def layers_from(x: Tensor, block: int, *, prefix: str = "") -> Tensor:
    """Build the last part: from the input of ``block`` up to the activations of the last convolution."""
    for late in BLOCKS[block:]:
        x = _block(x, late, prefix)
    return _convolution(x, HEAD_CHANNELS, side=1, stride=1, name=f"{prefix}{HEAD}")


def _block(x: Tensor, block: Block, prefix: str) -> Tensor:
    inside = x
    if block.expansion > 1:
        inside = _convolution(
            inside,
            block.inputs * block.expansion,
            side=1,
            stride=1,
            name=prefix + block.name("expansion"),
        )
    inside = keras.layers.DepthwiseConv2D(
        block.kernel,
        block.stride,
        padding="same",
        activation="relu6",
        # each output sees one channel; the initializers of Keras count all of them
        depthwise_initializer=keras.initializers.RandomNormal(stddev=math.sqrt(2) / block.kernel),
        name=prefix + block.name("depthwise"),
    )(inside)
    narrowed = keras.layers.Conv2D(
        block.outputs, 1, kernel_initializer="lecun_normal", name=prefix + block.name("projection")
    )(inside)
    return keras.layers.Add(name=prefix + block.name("sum"))([x, narrowed]) if block.is_residual else narrowed


def _convolution(x: Tensor, channels: int, *, side: int, stride: int, name: str) -> Tensor:
    return keras.layers.Conv2D(
        channels,
        side,
        stride,
        padding="same",
        activation="relu6",
        kernel_initializer="he_normal",  # no batch normalisation: the start has to keep the signal
        name=name,
    )(x)
