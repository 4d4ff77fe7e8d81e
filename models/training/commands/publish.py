"""`python -m models.training export` and `card`: the folder that is shipped, and its figures again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inference.network import manifest as manifests
from models.training.commands import display, options
from models.training.evaluation import predictions
from models.training.evaluation.calibration import Method
from models.training.evaluation.points import Rule
from models.training.images import prepare
from models.training.learning import train
from models.training.measuring import slots
from models.training.publishing import export as exporting
from models.training.publishing import publish
from models.training.publishing.publish import Choices


def export(
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
    folder = exporting.export(
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
        f"{manifests.load(folder).own_sha256}",
        highlight=False,
        soft_wrap=True,
    )


def card(
    folder: Annotated[
        Path, typer.Argument(help="Folder of a model, with its manifest.", exists=True, file_okay=False)
    ],
    *,
    measured: Annotated[
        Path | None,
        typer.Option(help="Folder with histories, features and tests to take in.", exists=True),
    ] = None,
    rule: Annotated[
        Rule | None, typer.Option(help="Choose the operating point so. Default: as it was.")
    ] = None,
    method: Annotated[Method | None, typer.Option(help="Calibrate so. Default: as it was.")] = None,
) -> None:
    """Write evaluation.json, card.md and the plots of a model again; its manifest stays as it is."""
    model = manifests.load(folder)
    before = publish.choices(publish.kept(folder))
    table = folder / predictions.FILE_NAME
    publish.publish(
        folder,
        name=model.name,
        version=model.version,
        choices=Choices(
            rule=rule or before.rule,
            method=method or before.method,
            measured=before.measured.updated(slots.gather(measured or folder, table)),
        ),
    )
    typer.echo(f"written: {folder}")
