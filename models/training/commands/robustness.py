"""`python -m models.training robustness`: what small disturbances of the picture change, out of fold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inference.analysis.classifier import DEFAULT_THREADS
from inference.analysis.gate import Gate
from inference.errors import Failed, Refused
from inference.network import manifest as manifests
from models.training.commands import display
from models.training.measuring import out_of_fold, robustness
from models.training.publishing import markdown
from models.training.sources import pictures, reading

Data = Annotated[Path, typer.Option(help="Folder with the labels and the images.", exists=True)]
Model = Annotated[Path, typer.Option(help="Folder of the model: how scores are read; its gate.", exists=True)]
Runs = Annotated[Path, typer.Option(help="Folder with fold-0, fold-1, … of its training.", exists=True)]
To = Annotated[Path, typer.Option(help="JSON file for the figures; a table goes beside it as .md.")]
Images = Annotated[int, typer.Option(help="How many images, drawn evenly over the sources.", min=1)]
Threads = Annotated[int, typer.Option(help="Processor threads.", min=1)]


def run(
    data: Data, model: Model, runs: Runs, to: To, *, images: Images = 400, threads: Threads = DEFAULT_THREADS
) -> None:
    """Disturb images that the network was not trained on, and see what becomes of AUC and labels."""
    manifest = manifests.load(model)
    chosen = out_of_fold.sample(out_of_fold.held_out(reading.read(data).examples, runs), images)
    answers: list[robustness.Answers] = []
    unread = 0
    with display.tracking() as track:
        for part in out_of_fold.parts(manifest, runs, chosen, threads=threads):
            gate = Gate.open(manifest, threads=threads)
            for example in track(part.examples, len(part.examples), f"fold {part.fold}"):
                try:
                    picture = pictures.read(data / example.file)
                except (Failed, Refused, OSError) as error:
                    unread += 1
                    display.left_out(example.file, str(error))
                    continue
                seed = len(answers)
                answers.append(robustness.ask(picture, example, part.classifier, gate, seed=seed))
    figures = robustness.figures(answers, folds=out_of_fold.trained(runs), left_out=unread)
    display.write_figures(to, figures)
    display.write(to.with_suffix(".md"), markdown.robustness(figures))
