"""Weights of the torch network under the names and in the order of axes that the Keras definition has.

Keras keeps kernels as (rows, columns, inputs, outputs), torch as (outputs, inputs, rows, columns); the torch
network reads everything turned by 180 degrees, and so are its kernels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from inference.network.efficientnet_lite import BLOCKS, HEAD, STEM
from inference.network.secondread import FROZEN, branch_prefix
from models.training.torch_backend.network import Network, Residual


def to_keras(network: Network) -> dict[str, NDArray[np.float32]]:
    """Return every array of ``network`` by its Keras path."""
    return {path: value for layer, module in _layers(network) for path, value in _arrays(layer, module)}


def save(network: Network, path: Path) -> None:
    """Write the arrays of ``network`` as `inference.network.weights.load_weights` reads them."""
    arrays: dict[str, Any] = {**to_keras(network)}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def fill(network: Network, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Put into ``network`` those arrays, by their Keras paths, that are there; others stay as they are."""
    with torch.no_grad():
        for layer, module in _layers(network):
            kernel = arrays.get(f"{layer}/kernel")
            if kernel is not None:
                module.weight.copy_(torch.from_numpy(_turned(np.asarray(kernel, np.float32), module)))
            bias = arrays.get(f"{layer}/bias")
            if bias is not None and module.bias is not None:
                module.bias.copy_(torch.from_numpy(np.asarray(bias, np.float32)))


def _layers(network: Network) -> Iterator[tuple[str, nn.Conv2d | nn.Linear]]:
    """Name every layer as `secondread` with one branch does: those of the trunk belong to no branch."""
    yield STEM, network.stem
    for block, module in zip(BLOCKS, network.blocks, strict=True):
        if not isinstance(module, Residual):
            raise TypeError(f"block {block.number} is a {type(module).__name__}")
        part = "" if block.number < FROZEN else branch_prefix(0)
        if module.expansion is not None:
            yield part + block.name("expansion"), module.expansion
        yield part + block.name("depthwise"), module.depthwise
        yield part + block.name("projection"), module.projection
    yield branch_prefix(0) + HEAD, network.head
    yield f"{branch_prefix(0)}places", network.places
    yield f"{branch_prefix(0)}evidence", network.evidence
    yield f"{branch_prefix(0)}logits", network.logits


def _arrays(layer: str, module: nn.Conv2d | nn.Linear) -> Iterator[tuple[str, NDArray[np.float32]]]:
    weight = module.weight.detach().float().cpu().numpy()
    if isinstance(module, nn.Linear):
        kernel = weight.T
    else:
        axes = (2, 3, 0, 1) if module.groups > 1 else (2, 3, 1, 0)
        kernel = weight.transpose(axes)[::-1, ::-1]
    yield f"{layer}/kernel", np.ascontiguousarray(kernel)
    if module.bias is not None:
        yield f"{layer}/bias", module.bias.detach().float().cpu().numpy()


def _turned(kernel: NDArray[np.float32], module: nn.Conv2d | nn.Linear) -> NDArray[np.float32]:
    if isinstance(module, nn.Linear):
        return np.ascontiguousarray(kernel.T)
    axes = (2, 3, 0, 1) if module.groups > 1 else (3, 2, 0, 1)
    return np.ascontiguousarray(kernel[::-1, ::-1].transpose(axes))
