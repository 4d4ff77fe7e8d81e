"""How each network is trained: its convolutions on lesions, then its head on whole images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class LesionStage:
    """The whole network on square cut-outs: lesions, and places of the same images without one."""

    side: int
    """In pixels of the prepared image."""
    epochs: int
    batches: int
    """In an epoch."""
    batch: int
    learning_rate: float
    """After a short warm-up; it falls along a cosine to nothing at the end of the stage."""


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
class Recipe:
    """One network's training."""

    network: str
    rows: int
    columns: int
    lesions: LesionStage
    head: HeadStage


RECIPES: Final[Mapping[str, Recipe]] = MappingProxyType(
    {
        "document-cnn": Recipe(
            network="document-cnn",
            rows=244,
            columns=244,
            lesions=LesionStage(side=64, epochs=20, batches=100, batch=32, learning_rate=1e-3),
            head=HeadStage(passes=2, epochs=15, batch=64, learning_rate=1e-3),
        )
    }
)


def with_epochs(recipe: Recipe, epochs: int | None) -> Recipe:
    """Give the lesion stage another number of epochs; None changes nothing."""
    return recipe if epochs is None else replace(recipe, lesions=replace(recipe.lesions, epochs=epochs))
