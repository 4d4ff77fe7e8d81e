"""One line of the comparison: a network, where it came from, what it cost and what it reached.

A finished model has one too: by what it said about the same patients while they were held out of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from inference.analysis.classifier import Classifier
from inference.network import catalogue
from inference.network import manifest as manifests
from inference.network.architecture import RANDOM, random_start
from models.training.comparison import cost
from models.training.comparison.candidate import ComparisonError
from models.training.evaluation import predictions
from models.training.evaluation.evaluate import evaluate
from models.training.evaluation.figures import BalancedAccuracy, Evaluation
from models.training.evaluation.measures import Estimate
from models.training.publishing import publish
from models.training.sources.labels import Example

_Image: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedFigures:
    """The figures of one source that networks are compared by."""

    images: int
    balanced_accuracy: BalancedAccuracy | None
    malignant_auc: Estimate | None
    macro_f1: Estimate | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """As it is kept in JSON; None where something was not recorded."""

    name: str
    network: str
    rows: int
    columns: int
    parameters: int
    started_from: str | None
    start_reason: str
    """Why it started from random weights though ImageNet's exist for it; empty otherwise."""
    cut_outs_seen: int | None
    images_seen: int | None
    """Whole images, repetitions counted."""
    training_seconds: float | None
    seconds_per_image: float
    """Scores and Grad-CAM of one prepared image."""
    same_budget: bool
    """False for a model that was trained longer, or otherwise, than the budget of the comparison."""
    figures: Mapping[str, ComparedFigures]
    """By source, and pooled: what `compared` takes."""


def compared(evaluation: Evaluation) -> dict[str, ComparedFigures]:
    """Take the figures that are compared from an evaluation, by source and pooled."""
    return {
        name: ComparedFigures(
            images=group.images,
            balanced_accuracy=group.balanced_accuracy,
            malignant_auc=group.malignant_auc,
            macro_f1=group.macro_f1,
        )
        for name, group in evaluation.groups.items()
    }


def of_finished_model(folder: Path, held_out: Sequence[Example], *, fold: int, threads: int) -> Entry:
    """Make the entry of the model in ``folder``, from its out-of-fold predictions of ``fold`` alone.

    Raises ComparisonError where these are not of the images ``held_out``, and the node's own errors where the
    model cannot be opened.
    """
    manifest = manifests.load(folder)
    table = folder / predictions.FILE_NAME
    if not table.exists():
        raise ComparisonError(f"{table} is missing: without it, {manifest.name} cannot be compared")
    of_all_folds = predictions.read(table)
    of_fold = of_all_folds.subset(of_all_folds.folds == fold)
    if Counter(map(_image, of_fold.examples)) != Counter(map(_image, held_out)):
        raise ComparisonError(f"{table} is not about the images that --data has in fold {fold}")
    evaluation = publish.evaluation_of(folder)
    cost_of_training = None if evaluation is None else evaluation.cost
    return Entry(
        name=f"{manifest.name} {manifest.version}",
        network=manifest.network,
        rows=manifest.rows,
        columns=manifest.columns,
        parameters=catalogue.build(manifest.network, rows=None, columns=None).count_params(),
        started_from=(
            _only_start(manifest.network) if cost_of_training is None else cost_of_training.started_from
        ),
        start_reason="",
        cut_outs_seen=None if cost_of_training is None else cost_of_training.lesion_cut_outs_seen,
        images_seen=None if cost_of_training is None else cost_of_training.images_seen,
        training_seconds=None if cost_of_training is None else cost_of_training.training_seconds,
        seconds_per_image=round(cost.of_classifier(Classifier.open(manifest, threads=threads)), 4),
        same_budget=False,
        figures=compared(evaluate(of_fold)),
    )


def _only_start(network: str) -> str | None:
    """Name the start of a network that has one way to start only."""
    only_random = catalogue.ARCHITECTURES[network].from_imagenet is random_start
    return RANDOM.origin if only_random else None


def _image(example: Example) -> _Image:
    """Tell an image by what a table of predictions says of it."""
    return example.source, example.device, example.patient, example.laterality, example.view, example.label
