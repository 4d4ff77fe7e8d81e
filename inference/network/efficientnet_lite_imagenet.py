"""What EfficientNet-Lite0 learned from ImageNet, as a file of arrays, for the layers of `efficientnet_lite`.

The file holds the network under the names and in the order of axes that its PyTorch publication has: kernels
(outputs, inputs, rows, columns) and, for each, the four arrays of a batch normalisation.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from inference.network.architecture import RANDOM, Start
from inference.network.efficientnet_lite import BLOCKS, HEAD, STEM
from inference.network.engine import keras
from inference.network.weights import WeightsError

Floats: TypeAlias = NDArray[np.float32]

_EPSILON: Final = 1e-3
"""Added to the variance in the batch normalisations of this network."""
_NO_FILE: Final = Start(origin=RANDOM.origin, reason="no file with ImageNet's weights was given")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Convolution:
    """Kernel and bias of one layer, as Keras wants them."""

    kernel: Floats
    """(rows, columns, inputs, outputs); of a depthwise convolution (rows, columns, channels, 1)."""
    bias: Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    """Where one layer's arrays are in the file."""

    layer: str
    kernel: str
    normalisation: str
    depthwise: bool = False


def from_imagenet(model: keras.Model, file: Path | None) -> Start:
    """Fill the convolutions of ``model`` from ``file``; leave them as they are where there is none.

    Raises WeightsError where the file is not of this network.
    """
    if file is None:
        return _NO_FILE
    fill(model, read(file))
    return Start(origin=f"ImageNet (file {file.name})")


def read(file: Path) -> Mapping[str, Convolution]:
    """Read kernel and bias of each layer, batch normalisation folded in, the stem for one channel.

    Raises WeightsError.
    """
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return MappingProxyType({source.layer: _folded(arrays, source) for source in _sources()})
    except KeyError as error:
        raise WeightsError(f"{file} lacks {error.args[0]}: not the weights of EfficientNet-Lite0") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{file} is not a file of weights: {error}") from error


def fill(model: keras.Model, convolutions: Mapping[str, Convolution], *, prefix: str = "") -> None:
    """Put into each layer of ``model`` that has ``prefix`` before its name what was learned for it.

    Layers that the model does not have are passed over: it may hold a part of the network only.
    Raises WeightsError where it has none of them, or one of another shape.
    """
    layers = {layer.name: layer for layer in model.layers}
    matches = {name: convolution for name, convolution in convolutions.items() if prefix + name in layers}
    if not matches:
        raise WeightsError(f"model {model.name!r} has no layer of EfficientNet-Lite0 named {prefix!r}…")
    for name, convolution in matches.items():
        try:
            layers[prefix + name].set_weights([convolution.kernel, convolution.bias])
        except ValueError as error:
            raise WeightsError(f"layer {prefix + name!r} has another shape than the file's") from error


def _folded(arrays: Mapping[str, NDArray[Any]], source: _Source) -> Convolution:
    """Fold (Jacob et al. 2018, section 3.2): each output is scaled by gamma / sqrt(variance + epsilon)."""
    kernel = arrays[f"{source.kernel}.weight"].astype(np.float32)
    gamma, beta, mean, variance = (
        arrays[f"{source.normalisation}.{name}"].astype(np.float32)
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    factor = gamma / np.sqrt(variance + _EPSILON)
    kernel = kernel * factor[:, np.newaxis, np.newaxis, np.newaxis]
    if source.layer == STEM:
        kernel = kernel.sum(axis=1, keepdims=True)  # red, green and blue of a grey image are one number
    kernel = kernel.transpose((2, 3, 0, 1) if source.depthwise else (2, 3, 1, 0))
    return Convolution(kernel=kernel, bias=beta - mean * factor)


def _sources() -> Iterator[_Source]:
    yield _Source(layer=STEM, kernel="_conv_stem", normalisation="_bn0")
    for block in BLOCKS:
        folder = f"_blocks.{block.number}."
        if block.expansion > 1:
            yield _Source(
                layer=block.name("expansion"), kernel=f"{folder}_expand_conv", normalisation=f"{folder}_bn0"
            )
        yield _Source(
            layer=block.name("depthwise"),
            kernel=f"{folder}_depthwise_conv",
            normalisation=f"{folder}_bn1",
            depthwise=True,
        )
        yield _Source(
            layer=block.name("projection"), kernel=f"{folder}_project_conv", normalisation=f"{folder}_bn2"
        )
    yield _Source(layer=HEAD, kernel="_conv_head", normalisation="_bn1")
