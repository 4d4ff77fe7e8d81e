"""`python -m models.training card FOLDER`: figures, plots and card again from committed predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inference.network import manifest
from models.training.evaluation import predictions
from models.training.evaluation.calibration import Method
from models.training.evaluation.points import Rule
from models.training.measuring import slots
from models.training.publishing import publish
from models.training.publishing.publish import Choices


def run(
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
    model = manifest.load(folder)
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
