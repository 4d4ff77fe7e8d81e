"""`python -m models.training evaluate`, `export` and `card`: figures of the folds, and the shipped folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from inference.network import engine
from inference.network import manifest as manifests
from models.training.commands import display, options
from models.training.evaluation import predictions
from models.training.evaluation.calibration import Method
from models.training.evaluation.figures import Evaluation
from models.training.evaluation.points import Rule
from models.training.images import prepare
from models.training.learning import terms, train
from models.training.measuring import held_out, slots
from models.training.publishing import export as exporting
from models.training.publishing import markdown, publish
from models.training.publishing.publish import Choices
from models.training.sources import folds


def evaluate(
    data: options.Data,
    work: options.Work,
    *,
    network: options.Network = "document-cnn",
    rule: Annotated[
        Rule, typer.Option(help="What fixes the operating point of the manifest; both are stated.")
    ] = Rule.SENSITIVITY,
    method: Annotated[
        Method, typer.Option(help="How scores are calibrated; all ways are compared.")
    ] = Method.TEMPERATURE,
    threads: options.Threads = 2,
) -> None:
    """Join the out-of-fold predictions of the folds that are trained, compute and draw every figure."""
    engine.fix_computation(threads)
    recipe = options.recipe(network)
    prepared = prepare.load(data, work, rows=recipe.rows, columns=recipe.columns)
    fold_numbers = folds.of(prepared.examples, folds.read())
    weights = {
        number: options.run_folder(work, network, number) / train.WEIGHTS for number in range(folds.FOLDS)
    }
    folder = work / network
    trained = held_out.write(prepared, fold_numbers, weights, recipe, folder)
    display.console.print(f"held out: folds {', '.join(map(str, trained))} of {folds.FOLDS}", highlight=False)
    measured = slots.gather(folder, folder / predictions.FILE_NAME)
    figures = publish.measure(folder, Choices(rule=rule, method=method, measured=measured))
    display.console.print(_summary(figures))
    drawn = ", ".join(sorted(path.name for path in folder.glob("*.png")))
    display.line(f"figures: {folder / publish.EVALUATION}; plots beside it: {drawn}")


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
    fold_numbers = folds.of(prepared.examples, folds.read())
    runs = {number: options.run_folder(work, network, number) for number in join or [train.ALL]}
    for number, run in runs.items():
        if run.exists():
            terms.check(run, terms.of_images(prepared, fold_numbers, number))
    folder = exporting.export(
        work / network,
        [run / train.WEIGHTS for run in runs.values()],
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
    before = publish.choices(publish.evaluation_of(folder))
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


def _summary(figures: Evaluation) -> Table:
    table = Table(
        "source", "images", "balanced accuracy (95 %)", "chance", "malignant AUC (95 %)", title="out of fold"
    )
    for name, group in figures.groups.items():
        accuracy = group.balanced_accuracy
        table.add_row(
            name,
            str(group.images),
            markdown.interval(None if accuracy is None else accuracy.estimate),
            markdown.number(None if accuracy is None else accuracy.chance),
            markdown.interval(group.malignant_auc),
        )
    return table
