"""The stages of a recipe: what is shown to the network in each, and which of its layers learn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.network import architecture, secondread
from inference.network.engine import keras, tf
from models.training.images import cells, dataset, intensity, lesion_map
from models.training.images import lesions as lesion_places
from models.training.images.cells import CellSet, Variant
from models.training.images.dataset import TrainingSet
from models.training.images.prepare import Prepared
from models.training.learning import epochs, objective
from models.training.learning.epochs import Epoch, Progress, Schedule
from models.training.learning.recipes import LesionStage, WholeStage

LESIONS: Final = "lesions"
WHOLE: Final = "whole"

_VALIDATION: Final = 640
"""Cut-outs of held-out images that each epoch of the lesion stage is judged by."""
_VALIDATION_SEED: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Run:
    """One training run: which images, where it is kept, whom to tell."""

    prepared: Prepared
    learning: TrainingSet
    held_out: TrainingSet | None
    folder: Path
    seed: int
    progress: Progress
    note: Callable[[Epoch], None]


def lesions(model: keras.Model, run: Run, stage: LesionStage) -> None:
    """Train ``model`` on cut-outs."""
    logits = _lesion_logits(model)
    epochs.run(
        logits,
        Schedule(
            stage=LESIONS,
            epochs=stage.epochs,
            batches=stage.batches,
            learning_rate=stage.learning_rate,
            weight_decay=stage.weight_decay,
        ),
        run.folder,
        objective.loss,
        seed=run.seed,
        batches=partial(_cut_outs, run.learning, stage),
        held_out=_validation(run.held_out, stage),
        progress=run.progress,
        note=run.note,
    )


def whole(model: keras.Model, run: Run, stage: WholeStage) -> None:
    """Train what is behind the trunk of ``model`` on whole images."""
    if not stage.epochs:
        return
    variants = cells.compute(
        run.prepared, model, run.folder.parent, progress=run.progress, variants=stage.variants
    )
    learning = _with_cells(run.learning, run.prepared, variants)
    judged = run.held_out if stage.validated else None
    held_out = None if judged is None else _with_cells(judged, run.prepared, variants)
    epochs.run(
        secondread.reader(model),
        Schedule(
            stage=WHOLE,
            epochs=stage.epochs,
            batches=len(learning.rows) // stage.batch,
            learning_rate=stage.learning_rate,
            head_rate=stage.head_rate,
            is_head=secondread.is_head,
            weight_decay=stage.weight_decay,
        ),
        run.folder,
        objective.whole_loss,
        seed=run.seed,
        batches=lambda generator: cells.shuffled(learning, generator, batch=stage.batch),
        held_out=None if held_out is None else partial(cells.in_order, held_out, batch=stage.batch),
        progress=run.progress,
        note=run.note,
    )


def _lesion_logits(model: keras.Model) -> keras.Model:
    """Open ``model`` up to what judges cut-outs, and let its trunk, if it has one, stay as it is."""
    if model.name != secondread.NAME:
        return keras.Model(model.inputs[0], model.get_layer(architecture.LOGITS).output)
    for layer in secondread.trunk(model).layers:
        layer.trainable = False
    return secondread.lesion_reader(model)


def _cut_outs(data: TrainingSet, stage: LesionStage, generator: np.random.Generator) -> tf.data.Dataset:
    cuts = dataset.lesion_cuts(
        data,
        generator,
        batch=stage.batch,
        batches=stage.batches,
        side=stage.side,
        healthy=stage.healthy,
        spread=intensity.LESION if stage.grey else None,
    )
    return dataset.stream(data.images, cuts, batch=stage.batch)


def _validation(
    data: TrainingSet | None, stage: LesionStage
) -> Callable[[], Iterable[Sequence[tf.Tensor]]] | None:
    """Take the same cut-outs of the held-out images in every epoch; None where there are no lesions."""
    if data is None or not all(lesion_places.by_kind(data)):
        return None

    def batches() -> Iterable[Sequence[tf.Tensor]]:
        cuts = dataset.lesion_cuts(
            data,
            np.random.default_rng(_VALIDATION_SEED),
            batch=stage.batch,
            batches=min(_VALIDATION // stage.batch, stage.batches),
            side=stage.side,
            healthy=stage.healthy,
        )
        stream: Iterable[Sequence[tf.Tensor]] = dataset.stream(data.images, cuts, batch=stage.batch)
        return stream

    return batches


def _with_cells(data: TrainingSet, prepared: Prepared, variants: tuple[Variant, ...]) -> CellSet:
    rows: NDArray[np.int64] = np.searchsorted(prepared.positions, data.positions)
    places = lesion_map.places(data, secondread.PLACES)
    return CellSet(examples=data.examples, rows=rows, variants=variants, places=places)
