"""How each network is trained: on cut-outs of lesions first, then on whole images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from inference.network import secondread
from models.training.images.cells import VARIANTS


@dataclass(frozen=True, kw_only=True, slots=True)
class LesionStage:
    """The network on square cut-outs: lesions, and places without one."""

    side: int
    """In pixels of the prepared image."""
    epochs: int
    batches: int
    """In an epoch."""
    batch: int
    learning_rate: float
    """After a short warm-up; it falls along a cosine to nothing at the end of the stage."""
    weight_decay: float = 0.0
    healthy: float = 0.0
    """Share of the cut-outs that are tissue of Normal images; the others come in pairs from one image."""
    grey: bool = False
    """Whether contrast, sharpness and noise change too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadStage:
    """The layers behind the average pooling, begun anew, on what the convolutions say about whole images."""

    passes: int
    """How often every image goes through the convolutions: first as it is, then each time moved otherwise."""
    epochs: int
    """Over the results of all passes."""
    batch: int
    learning_rate: float


@dataclass(frozen=True, kw_only=True, slots=True)
class WholeStage:
    """Everything behind the frozen trunk on whole images, each in several variants."""

    epochs: int
    batch: int
    learning_rate: float
    head_rate: float
    """How many times faster the new layers learn that judge the whole image."""
    weight_decay: float
    variants: int = VARIANTS
    """Of every image: as the node shows it, and with other sharpness and grey values."""
    validated: bool = True
    """Whether the held-out images are judged after each epoch, which costs a quarter of one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One network's training."""

    network: str
    rows: int
    columns: int
    lesions: LesionStage
    whole: HeadStage | WholeStage
    from_imagenet: bool = False
    """Whether the network must begin with what it learned from ImageNet."""


FROM_RANDOM: Final = 1e-3
"""Learning rate of networks that begin with nothing."""
NEW_HEAD: Final = HeadStage(passes=2, epochs=15, batch=64, learning_rate=1e-3)

RECIPES: Final[Mapping[str, Recipe]] = MappingProxyType(
    {
        "document-cnn": Recipe(
            network="document-cnn",
            rows=244,
            columns=244,
            lesions=LesionStage(side=64, epochs=20, batches=100, batch=32, learning_rate=FROM_RANDOM),
            whole=NEW_HEAD,
        ),
        secondread.NAME: Recipe(
            network=secondread.NAME,
            rows=768,
            columns=576,
            lesions=LesionStage(
                side=192,
                epochs=5,
                batches=190,
                batch=32,
                learning_rate=3e-4,
                weight_decay=1e-2,
                healthy=0.25,
                grey=True,
            ),
            whole=WholeStage(epochs=4, batch=8, learning_rate=1e-4, head_rate=5.0, weight_decay=1e-2),
            from_imagenet=True,
        ),
    }
)


CONTINUED: Final = WholeStage(
    epochs=1,
    batch=8,
    learning_rate=5e-5,
    head_rate=1.0,
    weight_decay=1e-2,
    variants=2,
    validated=False,
)
"""Whole images for a branch that has learned already: no layer of it begins with nothing."""


def continued(recipe: Recipe) -> Recipe:
    """Give the recipe for a branch of a published model: all behind its trunk on whole images."""
    lesions = replace(recipe.lesions, epochs=0)
    return replace(recipe, lesions=lesions, whole=CONTINUED, from_imagenet=False)


def unchanged(recipe: Recipe) -> Recipe:
    """Give the recipe that leaves a branch of a published model as it is, to be measured on these images."""
    return replace(continued(recipe), whole=replace(CONTINUED, epochs=0))


def with_epochs(recipe: Recipe, epochs: int | None) -> Recipe:
    """Give the lesion stage another number of epochs; None changes nothing."""
    return recipe if epochs is None else replace(recipe, lesions=replace(recipe.lesions, epochs=epochs))
