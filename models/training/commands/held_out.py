"""`python -m models.training pointing` and `robustness`: images read by the networks trained without them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inference.analysis.classifier import DEFAULT_THREADS
from inference.analysis.gate import Gate
from inference.errors import Failed, Refused
from inference.network import manifest as manifests
from inference.reading.pixels import Picture
from models.training.commands import display
from models.training.measuring import out_of_fold
from models.training.measuring import pointing as pointing_game
from models.training.measuring import robustness as disturbances
from models.training.publishing import markdown
from models.training.sources import pictures, reading

Data = Annotated[Path, typer.Option(help="Folder with the labels and the images.", exists=True)]
Model = Annotated[
    Path, typer.Option(help="Folder of the model: how its scores are read, and its gate.", exists=True)
]
Runs = Annotated[Path, typer.Option(help="Folder with fold-0, fold-1, … of its training.", exists=True)]
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
    examples = [
        example for example in out_of_fold.held_out(reading.read(data).examples, runs) if example.lesions
    ]
    chosen = examples if images is None else out_of_fold.sample(examples, images)
    rows: list[pointing_game.Pointed] = []
    with display.tracking() as track:
        for part in out_of_fold.parts(manifests.load(model), runs, chosen, threads=threads):
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
    chosen = out_of_fold.sample(out_of_fold.held_out(reading.read(data).examples, runs), images)
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


def _picture(path: Path, name: str) -> Picture | None:
    try:
        return pictures.read(path)
    except (Failed, Refused, OSError) as error:
        display.left_out(name, str(error))
        return None
