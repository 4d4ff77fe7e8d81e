"""Whole images as batches of what the trunk says about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.training.images.balance import balance
from models.training.images.cells import Variant
from models.training.sources.labels import Example

Batch: TypeAlias = tuple[NDArray[Any], ...]
"""Cells, and what `objective.whole_loss` wants."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CellSet:
    """One side of a fold, training or held out, with its cells."""

    examples: tuple[Example, ...]
    rows: NDArray[np.int64]
    """Where each of ``examples`` is in the variants."""
    variants: tuple[Variant, ...]
    places: NDArray[np.int8]
    """Of each of ``examples``, from `lesion_map.places`."""


def shuffled(data: CellSet, generator: np.random.Generator, *, batch: int) -> Iterator[Batch]:
    """Draw one epoch, each image once in one of its variants; what fills no batch is left out."""
    columns = _columns(data)
    order = generator.permutation(len(data.rows))
    for start in range(0, len(order) - batch + 1, batch):
        members = order[start : start + batch]
        chosen = [data.variants[v] for v in generator.integers(len(data.variants), size=batch)]
        cells = [variant.cells[data.rows[m]] for variant, m in zip(chosen, members, strict=True)]
        places = [
            data.places[m, :: -1 if variant.upside_down else 1]
            for variant, m in zip(chosen, members, strict=True)
        ]
        inputs = np.stack(cells).astype(np.float32)
        yield inputs, *(column[members] for column in columns), np.stack(places)


def in_order(data: CellSet, *, batch: int) -> Iterator[Batch]:
    """Cut all images, as the node shows them and in order, into batches; the last one may be shorter."""
    columns = _columns(data)
    for start in range(0, len(data.rows), batch):
        part = slice(start, start + batch)
        cells = data.variants[0].cells[data.rows[part]].astype(np.float32)
        yield cells, *(column[part] for column in columns), data.places[part]


def _columns(data: CellSet) -> Batch:
    balanced = balance(data.examples)
    targets = np.array([example.target for example in data.examples], np.float32)
    return targets, balanced.log_share, balanced.weight, balanced.malignant_weight
