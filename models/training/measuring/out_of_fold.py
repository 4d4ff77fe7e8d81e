"""The networks of the single folds, reading as the node does, and the images that they were not shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from inference.analysis.classifier import DEFAULT_THREADS, Classifier
from inference.findings import CLASSES
from inference.network import catalogue, engine, secondread, weights
from inference.network.manifest import Manifest
from models.training.images.prepare import Prepared
from models.training.learning import terms
from models.training.learning.train import WEIGHTS
from models.training.sources import folds
from models.training.sources.labels import Example

MALIGNANT: Final = "Malignant"


class NoRunsError(Exception):
    """There are no trained folds where they were looked for; the message says where that was."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One fold: its network, and the images that this network has not seen."""

    fold: int
    classifier: Classifier
    examples: tuple[Example, ...]


def trained(runs: Path) -> list[int]:
    """List the folds in ``runs`` whose training is finished. Raises NoRunsError where there is none."""
    numbers = [number for number in range(folds.FOLDS) if _weights(runs, number).exists()]
    if not numbers:
        raise NoRunsError(f"{runs} holds no fold-0/{WEIGHTS} … fold-{folds.FOLDS - 1}/{WEIGHTS}; run `train`")
    return numbers


def held_out(data: Prepared, runs: Path) -> list[Example]:
    """Keep the examples of the folds in ``runs``, in the order of ``data``.

    Raises
    ------
    NoRunsError
        Where no fold is trained.
    OtherTermsError
        Where a fold was trained on other images, or while others were held out.
    """
    fold_numbers = folds.of(data.examples, folds.read())
    trained_folds = trained(runs)
    for fold in trained_folds:
        terms.check(_weights(runs, fold).parent, terms.of_images(data, fold_numbers, fold))
    return [
        example for example, fold in zip(data.examples, fold_numbers, strict=True) if fold in trained_folds
    ]


def parts(
    manifest: Manifest, runs: Path, examples: Sequence[Example], *, threads: int = DEFAULT_THREADS
) -> Iterator[Part]:
    """Open one fold's network after the other.

    Parameters
    ----------
    manifest
        Of the model that is shipped: how scores are read, and at which size.
    runs
        Folder with ``fold-0``, ``fold-1``, …, each with weights; folds that are missing are passed over.
    examples
        Those to be read; each comes with the network of its own patient's fold.

    Raises
    ------
    NoRunsError, WeightsError
        Where there are no weights, or they are not of the manifest's network.
    """
    engine.fix_computation(threads)
    fold_numbers = folds.of(examples, folds.read())
    for fold in trained(runs):
        network = catalogue.build(
            secondread.member(manifest.network),
            rows=manifest.rows,
            columns=manifest.columns,
            classes=len(CLASSES),
        )
        weights.load_weights(network, _weights(runs, fold))
        yield Part(
            fold=fold,
            classifier=Classifier.of(network, manifest, batch=1),
            examples=tuple(
                example for example, number in zip(examples, fold_numbers, strict=True) if number == fold
            ),
        )


def sample(examples: Sequence[Example], count: int, *, seed: int = 1) -> list[Example]:
    """Draw ``count`` examples or so: as many of each source, up to half of them malignant.

    What a source does not have is not made up for by another. The same seed draws the same examples.
    """
    generator = np.random.default_rng(seed)
    sources = sorted({example.source for example in examples})
    chosen: list[Example] = []
    for number, source in enumerate(sources):
        share = count // len(sources) + (number < count % len(sources))
        shuffled = [examples[place] for place in generator.permutation(len(examples))]
        malignant = [
            example for example in shuffled if example.source == source and example.label == MALIGNANT
        ]
        not_malignant = [
            example for example in shuffled if example.source == source and example.label != MALIGNANT
        ]
        cases = malignant[: share // 2]
        chosen += cases + not_malignant[: share - len(cases)]
    return chosen


def _weights(runs: Path, fold: int) -> Path:
    return runs / f"fold-{fold}" / WEIGHTS
