"""`python -m models.training pointing`: whether the heatmap points at lesions, out of fold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inference.analysis.classifier import DEFAULT_THREADS
from inference.errors import Failed, Refused
from inference.network import manifest as manifests
from models.training.commands import display
from models.training.measuring import out_of_fold, pointing
from models.training.sources import pictures, reading

Data = Annotated[Path, typer.Option(help="Folder with the labels and the images.", exists=True)]
Model = Annotated[Path, typer.Option(help="Folder of the model: how its scores are read.", exists=True)]
Runs = Annotated[Path, typer.Option(help="Folder with fold-0, fold-1, … of its training.", exists=True)]
To = Annotated[Path, typer.Option(help="JSON file for the figures.")]
Images = Annotated[
    int | None, typer.Option(help="Only so many images, drawn evenly over the sources.", min=1)
]
Threads = Annotated[int, typer.Option(help="Processor threads.", min=1)]


def run(
    data: Data, model: Model, runs: Runs, to: To, *, images: Images = None, threads: Threads = DEFAULT_THREADS
) -> None:
    """Compare the node's heat with the lesion boxes of images that the network was not trained on."""
    manifest = manifests.load(model)
    examples = [
        example for example in out_of_fold.held_out(reading.read(data).examples, runs) if example.lesions
    ]
    chosen = examples if images is None else out_of_fold.sample(examples, images)
    rows: list[pointing.Pointed] = []
    unread = 0
    with display.tracking() as track:
        for part in out_of_fold.parts(manifest, runs, chosen, threads=threads):
            for example in track(part.examples, len(part.examples), f"fold {part.fold}"):
                try:
                    picture = pictures.read(data / example.file)
                    rows.append(pointing.point(picture, example, part.classifier))
                except (Failed, Refused, OSError) as error:
                    unread += 1
                    display.left_out(example.file, str(error))
    figures = pointing.figures(rows, folds=out_of_fold.trained(runs), left_out=unread)
    display.write_figures(to, figures)
