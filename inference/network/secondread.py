"""SecondRead's own network: a shared trunk that stays as ImageNet made it, and branches that read mammograms.

Trunk and branches are the two parts of EfficientNet-Lite0. The trunk (five blocks, one cell for 8 by 8
pixels) is never trained: what scanner an image is from shows most in early layers, and layers that do not
learn cannot learn it. What is left to train costs half, and several trained branches share one trunk.

A branch looks at its activations three times: averaged over the image; at each channel's strongest place, for
a lesion fills a hundredth of the image and would drown in an average; and place by place, with the layer that
has learned from cut-outs what a lesion is. What that says of the most suspicious place is where the judgement
of the whole image begins: it need not be learned anew from labels that say nothing about where to look.

What is shipped looks at each image twice, upright and upside down, and averages what it says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

from inference.network import efficientnet_lite, efficientnet_lite_imagenet
from inference.network.architecture import LOGITS, Architecture, Head, Start
from inference.network.engine import keras

Tensor: TypeAlias = Any
"""A Keras tensor; Keras ships no types."""

NAME: Final = "secondread"
FROZEN: Final = 5
"""Blocks of the trunk; behind them one cell stands for 8 by 8 pixels of the input."""
ACTIVATIONS: Final = "activations"
"""Name of the layer with the activations of the last convolution of every branch."""
PLACES: Final = 32
"""Pixels of the input, along rows and columns, that one place of the activations stands for."""
DROPOUT: Final = 0.4

_CELLS: Final = f"{NAME}_cells"
PLACE_DROPOUT: Final = 0.2
EVIDENCE: Final = 0.5
"""What the most suspicious place counts for at first, as a factor of its logarithmic scores."""
NEIGHBOURS: Final = 3
"""Side of the square of places that are averaged before the strongest is taken: one alone may be noise."""
_BRANCH: Final = re.compile(r"branch_(\d+)_")


def architecture(branches: int, *, both_ways: bool) -> Architecture:
    """Describe the network with ``branches`` branches, whose logits are averaged.

    Parameters
    ----------
    both_ways
        Whether it reads each image upside down as well, and averages: what is shipped does, what is trained
        does not.
    """
    return Architecture(
        layers=_layers(branches, both_ways=both_ways),
        last_convolution=ACTIVATIONS,
        judge=f"{branch_prefix(0)}logits",
        head=partial(_opened_head, branches, 2 if both_ways else 1),
        from_imagenet=_from_imagenet(branches),
    )


def trunk(model: keras.Model) -> keras.Model:
    """Open ``model`` up: from images (n, rows, columns, 1) to cells (n, rows/8, columns/8, 40)."""
    return keras.Model(model.inputs[0], model.get_layer(_CELLS).output)


def reader(model: keras.Model) -> keras.Model:
    """Open ``model``, of one branch, up: from cells to logits and to the logits of each place.

    Returns
    -------
    keras.Model
        Shares the weights of ``model``: to (n, classes) and (n, rows/32, columns/32, classes).
    """
    places = model.get_layer(_place_layer()).output
    return keras.Model(model.get_layer(_CELLS).output, [model.get_layer(LOGITS).output, places])


def lesion_reader(model: keras.Model) -> keras.Model:
    """Let the layer that judges places of ``model``, of one branch, judge the average of a cut-out.

    Averaged alone: on a cut-out that a lesion fills, the strongest place would learn for all others.
    """
    average = keras.layers.GlobalAveragePooling2D(name="lesion_average")(model.get_layer(ACTIVATIONS).output)
    dropped = keras.layers.Dropout(DROPOUT, name="lesion_dropout")(average)
    return keras.Model(model.inputs[0], model.get_layer(_place_layer())(dropped))


def is_head(path: str) -> bool:
    """Tell whether the variable ``path`` of a branch belongs to the layers that judge whole images."""
    return re.search(r"branch_\d+_(logits|evidence)/", path) is not None


def joined(branches: int) -> str:
    """Name the network that averages ``branches`` trained ones, each reading both ways."""
    return f"{NAME}-both-ways-{branches}"


def member(network: str) -> str:
    """Name the network that reads as the shipped form of ``network`` does, with the weights of one fold."""
    return joined(1) if network.startswith(NAME) else network


def renamed(name: str, branch: int) -> str:
    """Give the name that an array of a network with one branch has as ``branch`` of several."""
    return _BRANCH.sub(branch_prefix(branch), name)


def is_branch(name: str) -> bool:
    """Tell whether an array belongs to a branch and not to the trunk."""
    return _BRANCH.match(name) is not None


def branch_prefix(branch: int) -> str:
    """Return what goes before the name of each layer of ``branch``."""
    return f"branch_{branch}_"


def _layers(branches: int, *, both_ways: bool) -> Callable[[Tensor, int], Tensor]:
    def layers(image: Tensor, classes: int) -> Tensor:
        images = keras.ops.concatenate([image, _turned(image)], axis=0) if both_ways else image
        cells = efficientnet_lite.layers_until(images, FROZEN)
        cells = keras.layers.Activation("linear", name=_CELLS)(cells)
        readings = [
            efficientnet_lite.layers_from(cells, FROZEN, prefix=branch_prefix(branch))
            for branch in range(branches)
        ]
        if both_ways:  # all upright, where Grad-CAM looks
            halves = [keras.ops.split(activations, 2, axis=0) for activations in readings]
            readings = [part for up, down in halves for part in (up, _turned(down))]
        activations = (
            keras.layers.Concatenate(name=ACTIVATIONS)(readings)
            if len(readings) > 1
            else keras.layers.Activation("linear", name=ACTIVATIONS)(readings[0])
        )
        # read back out of the joined tensor: else no layer of the network would have every branch
        parts = keras.ops.split(activations, len(readings), axis=-1) if len(readings) > 1 else [activations]
        ways = len(readings) // branches
        logits = [
            _head(parts[branch * ways : (branch + 1) * ways], classes, branch_prefix(branch))
            for branch in range(branches)
        ]
        if branches > 1:
            return keras.layers.Average(name=LOGITS)(logits)
        return keras.layers.Activation("linear", name=LOGITS)(logits[0])

    return layers


def _place_layer() -> str:
    return f"{branch_prefix(0)}places"


def _turned(images: Tensor) -> Tensor:
    return keras.ops.flip(images, axis=1)


def _head(ways: list[Tensor], classes: int, prefix: str) -> Tensor:
    """Judge what a branch has said, and average over the ways in which it has read the image."""
    activations = keras.ops.concatenate(ways, axis=0) if len(ways) > 1 else ways[0]
    average = keras.layers.GlobalAveragePooling2D(name=f"{prefix}average")(activations)
    near = keras.layers.AveragePooling2D(NEIGHBOURS, 1, "same", name=f"{prefix}near")(activations)
    strongest = keras.layers.GlobalMaxPooling2D(name=f"{prefix}strongest")(near)
    pooled = keras.layers.Concatenate(name=f"{prefix}pooled")([average, strongest])
    dropped = keras.layers.Dropout(DROPOUT, name=f"{prefix}dropout")(pooled)
    sparse = keras.layers.Dropout(PLACE_DROPOUT, name=f"{prefix}place_dropout")(near)
    places = keras.layers.Dense(classes, name=f"{prefix}places")(sparse)
    evidence = keras.layers.Dense(
        classes,
        kernel_initializer=keras.initializers.Identity(EVIDENCE),
        use_bias=False,
        name=f"{prefix}evidence",
    )(_strongest_evidence(places))
    logits = keras.layers.Add(name=f"{prefix}sum")(
        [
            keras.layers.Dense(
                classes,
                # small, or the strongest places, up to 6 each, begin with certainty
                kernel_initializer=keras.initializers.RandomNormal(stddev=0.005),
                name=f"{prefix}logits",
            )(dropped),
            evidence,
        ]
    )
    return keras.layers.Average(name=f"{prefix}ways")(keras.ops.split(logits, 2)) if len(ways) > 1 else logits


def _opened_head(branches: int, ways: int, model: keras.Model) -> Head:
    """Open the head behind its poolings.

    What raises a channel at all places raises its average, its strongest place and what is seen near each
    place by as much.
    """
    prefixes = [branch_prefix(branch) for branch in range(branches)]
    pooled = [
        model.get_layer(f"{prefix}{part}").output
        for part in ("average", "strongest", "places")
        for prefix in prefixes
    ]
    kernels = [model.get_layer(f"{prefix}places").kernel for prefix in prefixes]

    def mean_gradient(gradients: Sequence[Tensor]) -> Tensor:
        averages, strongest, places = (
            gradients[first : first + branches] for first in range(0, 3 * branches, branches)
        )
        sums = [
            average + most + keras.ops.matmul(keras.ops.sum(place, axis=(1, 2)), keras.ops.transpose(kernel))
            for average, most, place, kernel in zip(averages, strongest, places, kernels, strict=True)
        ]
        _, rows, columns, _ = places[0].shape
        readings = [reading for part in sums for reading in keras.ops.split(part, ways)]
        return keras.ops.concatenate(readings, axis=-1) / (rows * columns)

    return Head(inputs=pooled, mean_gradient=mean_gradient)


def _strongest_evidence(places: Tensor) -> Tensor:
    """Take the place where each finding is most probable, and for Normal, the first class, the least so."""
    scores = keras.ops.log_softmax(places)
    normal = keras.ops.min(scores[..., :1], axis=(1, 2))
    findings = keras.ops.max(scores[..., 1:], axis=(1, 2))
    return keras.ops.concatenate([normal, findings], axis=-1)


def _from_imagenet(branches: int) -> Callable[[keras.Model, Path | None], Start]:
    def from_imagenet(model: keras.Model, file: Path | None) -> Start:
        if file is None:
            return efficientnet_lite_imagenet.from_imagenet(model, None)
        convolutions = efficientnet_lite_imagenet.read(file)
        for prefix in ("", *(branch_prefix(branch) for branch in range(branches))):
            efficientnet_lite_imagenet.fill(model, convolutions, prefix=prefix)
        return Start(origin=f"ImageNet (file {file.name})")

    return from_imagenet
