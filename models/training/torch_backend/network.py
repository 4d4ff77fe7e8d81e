"""The network `secondread` in torch: one branch and its trunk, from grey images to logits.

TensorFlow pads a convolution of stride 2 below and to the right; torch pads on all sides alike. An image
turned by 180 degrees, read with kernels turned likewise, needs the padding above and to the left, which is
what torch's gives where the size is even. So everything in here is turned, and nothing is copied for padding.

Weights are kept by the names and in the order of axes that the Keras definition has: it keeps kernels as
(rows, columns, inputs, outputs), torch as (outputs, inputs, rows, columns).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from inference.network.efficientnet_lite import BLOCKS, HEAD, HEAD_CHANNELS, STEM, Block
from inference.network.secondread import DROPOUT, EVIDENCE, FROZEN, NEIGHBOURS, PLACE_DROPOUT, branch_prefix


class Residual(nn.Module):
    """One inverted residual block (Sandler et al. 2018): widen, look around, narrow."""

    def __init__(self, block: Block, dropped: float) -> None:
        super().__init__()
        inside = block.inputs * block.expansion
        self.expansion = nn.Conv2d(block.inputs, inside, 1) if block.expansion > 1 else None
        self.depthwise = nn.Conv2d(
            inside, inside, block.kernel, block.stride, padding=block.kernel // 2, groups=inside
        )
        self.projection = nn.Conv2d(inside, block.outputs, 1)
        self._residual = block.is_residual
        self._dropped = dropped

    def forward(self, x: Tensor) -> Tensor:
        """Take (n, inputs, rows, columns) to (n, outputs, rows / stride, columns / stride)."""
        inside = x if self.expansion is None else functional.relu6(self.expansion(x), inplace=True)
        inside = functional.relu6(self.depthwise(inside), inplace=True)
        narrowed: Tensor = self.projection(inside)
        if not self._residual:
            return narrowed
        if self.training and self._dropped > 0:  # stochastic depth (Huang et al. 2016)
            survives = torch.rand(len(x), 1, 1, 1, device=x.device) >= self._dropped
            narrowed = narrowed * (survives / (1 - self._dropped)).to(narrowed.dtype)
        return x + narrowed


class Network(nn.Module):
    """The whole network of one fold.

    Parameters
    ----------
    classes
        How many logits an image gets.
    depth_dropout
        Chance with which the last block is passed over while training; it grows from 0 at the first.
    """

    def __init__(self, classes: int = 4, *, depth_dropout: float = 0.0) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, BLOCKS[0].inputs, 3, 2, padding=1)
        last = len(BLOCKS) - 1
        self.blocks = nn.ModuleList(Residual(block, depth_dropout * block.number / last) for block in BLOCKS)
        self.head = nn.Conv2d(BLOCKS[-1].outputs, HEAD_CHANNELS, 1)
        self.places = nn.Linear(HEAD_CHANNELS, classes)
        self.logits = nn.Linear(2 * HEAD_CHANNELS, classes)
        self.evidence = nn.Linear(classes, classes, bias=False)
        nn.init.zeros_(self.places.bias)
        nn.init.normal_(self.logits.weight, std=0.005)
        nn.init.zeros_(self.logits.bias)
        nn.init.eye_(self.evidence.weight)
        with torch.no_grad():
            self.evidence.weight.mul_(EVIDENCE)

    def activations(self, images: Tensor) -> Tensor:
        """Compute the last convolution of images (n, 1, rows, columns), 0 to 1; both sizes multiples of 32.

        Returns
        -------
        Tensor
            (n, 1280, rows / 32, columns / 32), turned by 180 degrees.
        """
        x = images.flip(2, 3) * (255 / 128) - 127 / 128
        x = functional.relu6(self.stem(x), inplace=True)
        for block in self.blocks:
            x = block(x)
        return functional.relu6(self.head(x), inplace=True)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Judge images: logits (n, classes), and of each place (n, rows / 32, columns / 32, classes)."""
        activations = self.activations(images).float()
        with torch.autocast(images.device.type, enabled=False):
            near = functional.avg_pool2d(
                activations, NEIGHBOURS, 1, padding=NEIGHBOURS // 2, count_include_pad=False
            )
            pooled = torch.cat([activations.mean((2, 3)), near.amax((2, 3))], dim=1)
            visible = functional.dropout(near, PLACE_DROPOUT, self.training).permute(0, 2, 3, 1)
            places = self.places(visible)
            judged = self.logits(functional.dropout(pooled, DROPOUT, self.training))
            return judged + self.evidence(_strongest_evidence(places)), places.flip(1, 2)

    def judge_cut_outs(self, images: Tensor) -> Tensor:
        """Judge square cut-outs (n, 1, side, side) by the layer that judges places: (n, classes)."""
        activations = self.activations(images).float()
        with torch.autocast(images.device.type, enabled=False):
            average = functional.dropout(activations.mean((2, 3)), DROPOUT, self.training)
            logits: Tensor = self.places(average)
            return logits


def _strongest_evidence(places: Tensor) -> Tensor:
    """Take the place where each finding is most probable, and for Normal, the first class, the least so."""
    scores = functional.log_softmax(places, dim=-1)
    return torch.cat([scores[..., :1].amin((1, 2)), scores[..., 1:].amax((1, 2))], dim=-1)


def to_keras(network: Network) -> dict[str, NDArray[np.float32]]:
    """Return every array of ``network`` by its Keras path."""
    return {path: value for layer, module in _layers(network) for path, value in _arrays(layer, module)}


def save_weights(network: Network, path: Path) -> None:
    """Write the arrays of ``network`` as `inference.network.weights.load_weights` reads them."""
    arrays: dict[str, Any] = {**to_keras(network)}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def fill_weights(network: Network, arrays: Mapping[str, NDArray[Any]]) -> None:
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
