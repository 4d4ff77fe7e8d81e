"""`python -m models.training export`: the folder that is shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inference.network import manifest
from models.training.commands import display, options
from models.training.images import prepare
from models.training.learning import train
from models.training.publishing import export


def run(
    data: options.Data,
    work: options.Work,
    version: Annotated[str, typer.Option(help="Version of the model.")],
    to: Annotated[Path, typer.Option(help="Folder in which <network>-<version> is made.")],
    *,
    network: options.Network = "document-cnn",
    join: Annotated[
        list[int] | None,
        typer.Option(help="Ship this fold's network, joined with others. Default: the one trained on all."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite a folder that is there.")] = False,
) -> None:
    """Write the shipped folder: weights, manifest, card, notice, evaluation and out-of-fold predictions."""
    recipe = options.recipe(network)
    prepared = prepare.load(data, work, rows=recipe.rows, columns=recipe.columns)
    folder = export.export(
        work / network,
        [options.run_folder(work, network, number) / train.WEIGHTS for number in join or [train.ALL]],
        to / f"{network}-{version}",
        recipe=recipe,
        version=version,
        digest=prepared.digest,
        replace=replace,
    )
    display.line(f"written: {folder}")
    display.console.print(
        "SHA-256 of its manifest, for inference/network/manifest.py if it is shipped: "
        f"{manifest.load(folder).own_sha256}",
        highlight=False,
        soft_wrap=True,
    )
