"""How each network is trained: stages in order, each with its own cut-outs and learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A number of epochs of one kind."""

    name: str
    side: int | None
    """Side of square cut-outs around lesions; None for whole images."""
    epochs: int
    batch: int
    batches: int
    """Batches of an epoch of cut-outs; an epoch of whole images shows each once."""
    learning_rate: float
    """At the start, after a short warm-up; it falls along a cosine to nothing at the end of the stage."""
    trained_from: str | None = None
    """First layer that learns; those before it keep what they have learned. None: all learn."""
    new_head: bool = False
    """Whether the layers after the last convolution begin anew with this stage (see `head.renew`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One network's training."""

    network: str
    rows: int
    columns: int
    stages: tuple[Stage, ...]


RECIPES: Final[Mapping[str, Recipe]] = MappingProxyType(
    {
        "document-cnn": Recipe(
            network="document-cnn",
            rows=244,
            columns=244,
            stages=(
                Stage(name="lesions", side=64, epochs=16, batch=32, batches=100, learning_rate=1e-3),
                Stage(
                    name="head on whole images",
                    side=None,
                    epochs=3,
                    batch=16,
                    batches=0,
                    learning_rate=2e-3,
                    trained_from="dense",
                    new_head=True,
                ),
                Stage(
                    name="whole images",
                    side=None,
                    epochs=1,
                    batch=16,
                    batches=0,
                    learning_rate=3e-4,
                    trained_from="convolution_3",
                ),
            ),
        )
    }
)


def with_epochs(recipe: Recipe, epochs: int | None) -> Recipe:
    """Give the stage of whole images another number of epochs; None changes nothing."""
    if epochs is None:
        return recipe
    stages = (replace(stage, epochs=epochs) if stage.side is None else stage for stage in recipe.stages)
    return replace(recipe, stages=tuple(stages))
