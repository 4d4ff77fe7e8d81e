"""`python -m models.training cost`: what one image costs, from file to heat, and what training took."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer

from inference import pipeline
from inference.analysis.classifier import DEFAULT_THREADS, Classifier
from inference.analysis.gate import Gate
from inference.network import manifest as manifests
from inference.reading import pixels
from models.training.commands import display
from models.training.evaluation.measured import CostFigures
from models.training.learning.recipes import RECIPES, WholeStage
from models.training.learning.train import HISTORY
from models.training.measuring import out_of_fold
from models.training.sources import folds, reading

FIGURES: Final = "cost.json"
_FIRST: Final = 3
"""Images that are not counted: memory is taken and caches are filled."""
_DIGITS: Final = 3


def run(
    model: Annotated[Path, typer.Argument(help="Folder of the model, with its manifest.", exists=True)],
    data: Annotated[Path, typer.Option(help="Folder with the labels and the images.", exists=True)],
    runs: Annotated[Path, typer.Option(help="Folder of the network's runs, fold-0 and so on.", exists=True)],
    *,
    images: Annotated[int, typer.Option(help="How many images are timed.", min=1)] = 60,
    threads: Annotated[int, typer.Option(help="Processor threads.", min=1)] = DEFAULT_THREADS,
) -> None:
    """Time the node's whole way for single images, and add up what the folds' training took."""
    manifest = manifests.load(model)
    classifier = Classifier.open(manifest, threads=threads)
    gate = Gate.open(manifest)
    examples = reading.read(data).examples
    chosen = out_of_fold.sample(examples, images + _FIRST)
    seconds = []
    for example in chosen:
        began = time.perf_counter()
        pipeline.analysed_image(pixels.from_image_file(data / example.file), classifier, gate)
        seconds.append(time.perf_counter() - began)
    counted = np.array(seconds[_FIRST:])
    recipe = RECIPES[runs.name]
    epochs = recipe.whole.epochs if isinstance(recipe.whole, WholeStage) else recipe.whole.passes
    figures = CostFigures(
        seconds=round(float(np.median(counted)), _DIGITS),
        slowest_seconds=round(float(counted.max()), _DIGITS),
        images=len(counted),
        threads=threads,
        megabytes=round(manifest.weights_path.stat().st_size / 1e6, 1),
        started_from="ImageNet (EfficientNet-Lite0)" if recipe.from_imagenet else "random",
        lesion_cut_outs_seen=recipe.lesions.epochs * recipe.lesions.batches * recipe.lesions.batch,
        epochs_of_whole_images=epochs,
        images_seen=epochs * (len(examples) - round(len(examples) / folds.FOLDS)),
        training_seconds=_training_seconds(runs),
    )
    display.write_figures(runs / FIGURES, figures)


def _training_seconds(runs: Path) -> int:
    """Add up what the epochs of each fold took, and take the folds' mean."""
    histories = [
        [json.loads(line) for line in (runs / f"fold-{fold}" / HISTORY).read_text("utf-8").splitlines()]
        for fold in out_of_fold.trained(runs)
    ]
    return round(float(np.mean([sum(epoch["seconds"] for epoch in history) for history in histories])))
