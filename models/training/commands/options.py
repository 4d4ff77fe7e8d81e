"""Options that several commands share, and what follows from them: the recipe, and the folder of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from models.training.learning import train
from models.training.learning.recipes import RECIPES, Recipe

Data = Annotated[
    Path,
    typer.Option(
        help="Folder with labels.csv, CBIS-DDSM or mini-MIAS, and the images.", exists=True, file_okay=False
    ),
]
Work = Annotated[Path, typer.Option(help="Folder for prepared images and runs; outside the project.")]
Network = Annotated[str, typer.Option(help="Which recipe, by the network's name.")]
Threads = Annotated[int, typer.Option(help="Processor threads.", min=1)]


def recipe(network: str) -> Recipe:
    """Find the recipe of ``network``. Raises BadParameter, which lists those that there are."""
    if network not in RECIPES:
        raise typer.BadParameter(f"no recipe for {network!r}; there is {', '.join(RECIPES)}")
    return RECIPES[network]


def run_folder(work: Path, network: str, fold: int) -> Path:
    """Name the folder of the run that holds ``fold`` out."""
    return work / network / ("everything" if fold == train.ALL else f"fold-{fold}")
