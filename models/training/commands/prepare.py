"""`python -m models.training prepare`: every image as the node sees it, once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from models.training.commands import display, options
from models.training.images import prepare
from models.training.sources.reading import Form, Selection, Split


def run(
    data: options.Data,
    work: options.Work,
    *,
    network: options.Network = "document-cnn",
    form: Annotated[
        Form | None,
        typer.Option(help="How the labels are told. Default: recognised from what lies in --data."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Another table than labels.csv in --data.", exists=True, dir_okay=False),
    ] = None,
    views: Annotated[
        list[str] | None,
        typer.Option(help="Take this view only, CC or MLO; may be repeated. Default: every view."),
    ] = None,
    split: Annotated[Split, typer.Option(help="Which part, where the publisher has divided it.")] = Split.ALL,
    threads: options.Threads = 2,
) -> None:
    """Crop and normalise every image once, as the node does, and name each that cannot be used."""
    recipe = options.recipe(network)
    with Progress(console=display.console) as bars:
        prepared = prepare.run(
            data,
            work,
            rows=recipe.rows,
            columns=recipe.columns,
            processes=threads,
            progress=lambda outcomes, number: bars.track(outcomes, total=number, description="preparing"),
            selection=Selection(form=form, labels=labels, views=tuple(views or ()), split=split),
        )
    for remark in prepared.remarks:
        display.line(f"note: {remark}")
    for file, reason in prepared.refused:
        display.left_out(file, reason)
    display.console.print(f"{len(prepared.examples)} images prepared, {len(prepared.refused)} left out")
    display.line(f"digest of images and labels: {prepared.digest}")
