"""`python -m models.training gate`: learn what mammograms look like, and count what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inference.analysis import gate
from inference.analysis.classifier import DEFAULT_THREADS
from inference.network.engine import fix_computation
from models.training.commands import display
from models.training.evaluation.measured import FolderRefusals, GateFigures
from models.training.file_digest import sha256
from models.training.measuring import gate_training, out_of_fold
from models.training.sources import reading

Data = Annotated[Path, typer.Option(help="Folder with the labels and the images.", exists=True)]
ImageNet = Annotated[
    Path, typer.Option("--imagenet", help="Weights of EfficientNet-Lite0.", exists=True, dir_okay=False)
]
To = Annotated[Path, typer.Option(help="Folder for the gate and its figures.")]
OtherPictures = Annotated[
    list[Path] | None,
    typer.Option(
        "--others", help="Folder with other pictures, a folder for each kind; several times.", exists=True
    ),
]
Spoiled = Annotated[
    list[Path] | None,
    typer.Option(
        help="Folder with spoiled mammograms (turned, inverted, two in one), a folder for each kind.",
        exists=True,
    ),
]
Further = Annotated[
    list[Path] | None,
    typer.Option(help="Folder with mammograms from elsewhere, a folder for each kind.", exists=True),
]
Images = Annotated[
    int | None, typer.Option(help="Only so many images, drawn evenly over the sources.", min=1)
]
Threads = Annotated[int, typer.Option(help="Processor threads.", min=1)]


def run(
    data: Data,
    imagenet: ImageNet,
    to: To,
    *,
    other_pictures: OtherPictures = None,
    spoiled: Spoiled = None,
    further: Further = None,
    images: Images = None,
    threads: Threads = DEFAULT_THREADS,
) -> None:
    """Learn from mammograms, choose the limit out of fold, and write the gate with its manifest table."""
    fix_computation(threads)
    trunk = gate_training.trunk_from(imagenet)
    examples = reading.read(data).examples
    chosen = examples if images is None else out_of_fold.sample(examples, images)
    with display.tracking() as track:
        mammograms = gate_training.look(data, chosen, trunk, track)
        for file, reason in mammograms.unread:
            display.left_out(file, reason)
        distances = gate_training.out_of_fold(mammograms)
        limit = gate_training.limit(mammograms, distances)
        likeness = gate_training.fit(mammograms)

        def refusals(folders: list[Path] | None) -> dict[str, FolderRefusals] | None:
            if not folders:
                return None
            return {
                folder.name: gate_training.folder_refusals(folder, trunk, likeness, limit, track)
                for folder in folders
            }

        figures = GateFigures(
            limit=limit,
            mammograms=gate_training.mammogram_refusals(mammograms, distances, limit),
            other_pictures=refusals(other_pictures),
            spoiled_mammograms=refusals(spoiled),
            further_mammograms=refusals(further),
        )
    to.mkdir(parents=True, exist_ok=True)
    gate.save(to / gate_training.FILE, trunk, likeness)
    display.write_figures(to / gate_training.FIGURES, figures)
    display.write(to / gate_training.TABLE, manifest_table(to / gate_training.FILE, figures))


def manifest_table(file: Path, figures: GateFigures) -> str:
    """Write what the manifest says about the gate in ``file``."""
    digest = sha256(file)
    mammograms = figures.mammograms
    return f"""\
[gate]
file = "{file.name}"
sha256 = "{digest}"
limit = {figures.limit}
basis = "Lets in at least {gate_training.QUANTILE:.0%} of the mammograms of each source out of fold: \
{mammograms.refused} of {mammograms.images} are refused. No other picture was learned from."
"""
