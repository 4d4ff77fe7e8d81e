"""What the frozen trunk says about every image, computed once for all folds and epochs; batches of it.

A trunk that never learns says the same in every epoch, so training reads its cells from a file. To keep what
augmentation gives, each image goes through the trunk in several variants: the first as the node shows it, the
others with other sharpness (`models.training.images.resampling`), other grey values and moved, one half by
whole pixels and one half freely: what is moved freely is blurred a little, and the node's images are not. One
half is upside down, as images: cells that are turned are not what the trunk says of a turned image, for its
filters have an up and a down.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from inference.network import secondread
from inference.network.engine import keras, tf
from models.training.images import augmentation, intensity, resampling
from models.training.images.balance import balance
from models.training.images.prepare import Prepared
from models.training.sources.labels import Example

Cells: TypeAlias = NDArray[np.float16]
"""Of every image: (images, rows, columns, channels)."""
Batch: TypeAlias = tuple[NDArray[Any], ...]
"""Cells, and what `objective.whole_loss` wants."""

VARIANTS: Final = 5
"""Ways in which each image is shown; each costs some 2 GB for 4,000 images (`compute`)."""
AS_SHOWN: Final = 0.2
"""Share of the images of an epoch that look as the node shows them; the others are of the other variants."""
_UPSIDE_DOWN: Final = 0.5
"""Share of the images in the other variants; a breast has no top that says anything about it."""
_SHARP: Final = 0.5
"""Share of the images in the other variants that are moved by whole pixels only."""
_SEED: Final = 7
_PIECE: Final = 4
"""Images that go through the trunk at once."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Variant:
    """All images in one variant."""

    cells: Cells
    upside_down: NDArray[np.bool_]
    """Of every image."""


def compute(
    prepared: Prepared,
    model: keras.Model,
    work: Path,
    *,
    progress: Callable[[Iterable[int], str, int], Iterable[int]],
    variants: int = VARIANTS,
) -> tuple[Variant, ...]:
    """Open the cells of all images that can be used, in the order of ``prepared.positions``, in each variant.

    Parameters
    ----------
    model
        Of the network `secondread`; its trunk computes what is not in ``work`` already.
    work
        Folder for the files; they take 11 GB for 4,000 images of 768 by 576 pixels, and are
        read fast only where as much memory is free.
    progress
        Wraps the numbers of the first images of the pieces, given a title and how many pieces there are.
    """
    trunk = secondread.trunk(model)
    digest = _digest(prepared, trunk)
    return tuple(_variant(prepared, trunk, work, number, digest, progress) for number in range(variants))


def _variant(  # noqa: PLR0917 - private
    prepared: Prepared,
    trunk: keras.Model,
    work: Path,
    number: int,
    digest: str,
    progress: Callable[[Iterable[int], str, int], Iterable[int]],
) -> Variant:
    cells = work / f"cells-{digest[:16]}-{number}.npy"
    count, size = len(prepared.positions), (prepared.images.shape[1], prepared.images.shape[2])
    generator = np.random.default_rng([_SEED, number])
    centres = np.tile(augmentation.middle(size), (count, 1))
    maps = _moves(generator, centres, size, still=number == 0)
    grey = intensity.draw(generator, count, intensity.WHOLE)
    passages = resampling.draw(generator, count, rows=size[0])
    upside_down = (generator.random(count) < _UPSIDE_DOWN) & (number > 0)
    if not cells.exists():
        unfinished = cells.with_suffix(f".{os.getpid()}")  # another fold's run may be at the same
        shape = (count, *trunk.compute_output_shape((1, *size, 1))[1:])
        array = np.lib.format.open_memmap(unfinished, "w+", np.float16, shape)
        call = _call(trunk, size, moved=number > 0)
        starts = range(0, count, _PIECE)
        for start in progress(starts, f"trunk, variant {number + 1}", len(starts)):
            part = slice(start, start + _PIECE)
            images = prepared.images[prepared.positions[part]]
            if number > 0:
                images = np.stack(
                    [resampling.apply(*pair) for pair in zip(images, passages[part], strict=True)]
                )
            turned = upside_down[part, np.newaxis, np.newaxis]
            images = np.where(turned, images[:, ::-1], images)
            array[part] = call(images, maps[part], grey[part])
        array.flush()
        unfinished.replace(cells)
    # mapped: runs of several folds side by side share one copy in memory
    return Variant(cells=np.load(cells, mmap_mode="r"), upside_down=upside_down)


def _moves(
    generator: np.random.Generator, centres: NDArray[np.float64], size: augmentation.Size, *, still: bool
) -> NDArray[np.float32]:
    if still:
        return augmentation.draw(generator, centres, size, augmentation.STILL)
    sharp = generator.random(len(centres)) < _SHARP
    shifted = augmentation.to_whole_pixels(augmentation.draw(generator, centres, size, augmentation.SHIFTED))
    free = augmentation.draw(generator, centres, size, augmentation.WHOLE)
    return np.where(sharp[:, np.newaxis], shifted, free)


def _call(trunk: keras.Model, size: augmentation.Size, *, moved: bool) -> Callable[..., tf.Tensor]:
    def call(images: tf.Tensor, maps: tf.Tensor, grey: tf.Tensor) -> tf.Tensor:
        values = tf.cast(images, tf.float32)[..., None] / 255.0
        if moved:
            values = intensity.apply(augmentation.apply(values, maps, size), grey)
        return tf.cast(trunk(values, training=False), tf.float16)

    compiled: Callable[..., tf.Tensor] = tf.function(call, reduce_retracing=True)
    return compiled


def _digest(prepared: Prepared, trunk: keras.Model) -> str:
    """Hash what the cells depend on: images and their order, labels, size, trunk, movements."""
    order = [example.file for example in prepared.examples]
    movements = (
        *(_SEED, augmentation.SHIFTED, augmentation.WHOLE, intensity.WHOLE, _UPSIDE_DOWN, _SHARP),
        *(resampling.FEWEST, resampling.UNTOUCHED, resampling.KERNELS, resampling.BACK),
        *(resampling.NOISY, resampling.NOISE, resampling.RIMMED, resampling.RIM),
    )
    digest = hashlib.sha256(f"{prepared.digest} {order} {prepared.images.shape} {movements}".encode())
    for variable in trunk.weights:
        digest.update(np.asarray(variable).tobytes())
    return digest.hexdigest()


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
        chosen = [data.variants[v] for v in _draw_variants(generator, len(data.variants), batch)]
        cells = [variant.cells[data.rows[m]] for variant, m in zip(chosen, members, strict=True)]
        places = [
            data.places[m, :: -1 if variant.upside_down[data.rows[m]] else 1]
            for variant, m in zip(chosen, members, strict=True)
        ]
        inputs = np.stack(cells).astype(np.float32)
        yield inputs, *(column[members] for column in columns), np.stack(places)


def _draw_variants(generator: np.random.Generator, variants: int, count: int) -> NDArray[np.int64]:
    """Draw ``count`` numbers of variants: the first for `AS_SHOWN` of the images, the others alike."""
    if variants == 1:
        return np.zeros(count, np.int64)
    changed = 1 + generator.integers(variants - 1, size=count)
    return np.where(generator.random(count) < AS_SHOWN, 0, changed)


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
