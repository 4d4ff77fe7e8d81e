"""`python -m models.training pointing`, `robustness` and `cost`: what is measured beside the folds."""

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
from inference.errors import Failed, Refused
from inference.network import manifest as manifests
from inference.reading import pixels
from inference.reading.pixels import Picture
from models.training.commands import display
from models.training.evaluation.measured import CostFigures
from models.training.images import prepare
from models.training.learning.recipes import RECIPES, WholeStage
from models.training.learning.train import HISTORY
from models.training.measuring import out_of_fold
from models.training.measuring import pointing as pointing_game
from models.training.measuring import robustness as disturbances
from models.training.publishing import markdown
from models.training.sources import folds, pictures, reading

_COST_FIGURES: Final = "cost.json"
_FIRST: Final = 3
"""Images that are not counted: memory is taken and caches are filled."""
_DIGITS: Final = 3

Data = Annotated[Path, typer.Option(help="Folder with the labels and the images.", exists=True)]
Model = Annotated[
    Path, typer.Option(help="Folder of the model: how its scores are read, and its gate.", exists=True)
]
Runs = Annotated[
    Path, typer.Option(help="WORK/NETWORK, with fold-0, fold-1, … of its training.", exists=True)
]
Threads = Annotated[int, typer.Option(help="Processor threads.", min=1)]


def pointing(
    data: Data,
    model: Model,
    runs: Runs,
    to: Annotated[Path, typer.Option(help="JSON file for the figures.")],
    *,
    images: Annotated[
        int | None, typer.Option(help="Only so many images, drawn evenly over the sources.", min=1)
    ] = None,
    threads: Threads = DEFAULT_THREADS,
) -> None:
    """Compare the node's heat with the lesion boxes of images that the network was not trained on."""
    manifest = manifests.load(model)
    prepared = prepare.load(data, runs.parent, rows=manifest.rows, columns=manifest.columns)
    examples = [example for example in out_of_fold.held_out(prepared, runs) if example.lesions]
    chosen = examples if images is None else out_of_fold.sample(examples, images)
    rows: list[pointing_game.Pointed] = []
    with display.tracking() as track:
        for part in out_of_fold.parts(manifest, runs, chosen, threads=threads):
            for example in track(part.examples, len(part.examples), f"fold {part.fold}"):
                try:
                    picture = pictures.read(data / example.file)
                    rows.append(pointing_game.point(picture, example, part.classifier))
                except (Failed, Refused, OSError) as error:
                    display.left_out(example.file, str(error))
    left_out = len(chosen) - len(rows)
    figures = pointing_game.figures(rows, folds=out_of_fold.trained(runs), left_out=left_out)
    display.write_figures(to, figures)


def robustness(
    data: Data,
    model: Model,
    runs: Runs,
    to: Annotated[Path, typer.Option(help="JSON file for the figures; a table goes beside it as .md.")],
    *,
    images: Annotated[int, typer.Option(help="How many images, drawn evenly over the sources.", min=1)] = 400,
    threads: Threads = DEFAULT_THREADS,
) -> None:
    """Disturb images that the network was not trained on, and see what becomes of AUC and labels."""
    manifest = manifests.load(model)
    prepared = prepare.load(data, runs.parent, rows=manifest.rows, columns=manifest.columns)
    chosen = out_of_fold.sample(out_of_fold.held_out(prepared, runs), images)
    answers: list[disturbances.Answers] = []
    with display.tracking() as track:
        for part in out_of_fold.parts(manifest, runs, chosen, threads=threads):
            gate = Gate.open(manifest, threads=threads)
            for example in track(part.examples, len(part.examples), f"fold {part.fold}"):
                picture = _picture(data / example.file, example.file)
                if picture is not None:
                    seed = len(answers)
                    answers.append(disturbances.ask(picture, example, part.classifier, gate, seed=seed))
    left_out = len(chosen) - len(answers)
    figures = disturbances.figures(answers, folds=out_of_fold.trained(runs), left_out=left_out)
    display.write_figures(to, figures)
    display.write(to.with_suffix(".md"), markdown.robustness(figures))


def cost(
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
    display.write_figures(runs / _COST_FIGURES, figures)


def _training_seconds(runs: Path) -> int:
    """Add up what the epochs of each fold took, and take the folds' mean."""
    histories = [
        [json.loads(line) for line in (runs / f"fold-{fold}" / HISTORY).read_text("utf-8").splitlines()]
        for fold in out_of_fold.trained(runs)
    ]
    return round(float(np.mean([sum(epoch["seconds"] for epoch in history) for history in histories])))


def _picture(path: Path, name: str) -> Picture | None:
    try:
        return pictures.read(path)
    except (Failed, Refused, OSError) as error:
        display.left_out(name, str(error))
        return None
