"""`python -m models.training prepare | train | evaluate | compare | export`: from labelled images to a model."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from models import networks
from models.training import card, compare, folds, predictions, prepare, train
from models.training import evaluate as evaluation
from models.training import export as exporting
from models.training.labels import LabelsError
from models.training.recipes import RECIPES, Recipe, with_epochs
from models.training.sources.reading import Form, Split, Wanted

_EXPECTED: Final = (
    LabelsError,
    prepare.NotPreparedError,
    train.UnfinishedRunError,
    exporting.ExportError,
    networks.WeightsError,
    *compare.EXPECTED,
)

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Train, evaluate and export a network.")
app.command()(compare.compare)
console = Console()

Data = Annotated[
    Path,
    typer.Option(
        help="Folder with labels.csv, CBIS-DDSM or mini-MIAS, and the images.", exists=True, file_okay=False
    ),
]
Work = Annotated[Path, typer.Option(help="Folder for prepared images and runs; outside the project.")]
Network = Annotated[str, typer.Option(help="Which recipe, by the network's name.")]
Threads = Annotated[int, typer.Option(help="Processor threads.", min=1)]


@app.command("prepare")
def prepare_images(
    data: Data,
    work: Work,
    *,
    network: Network = "document-cnn",
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
    threads: Threads = 2,
) -> None:
    """Crop and normalise every image once, as the node does, and name each that cannot be used."""
    recipe = _recipe(network)
    with Progress(console=console) as bars:
        prepared = prepare.run(
            data,
            work,
            rows=recipe.rows,
            columns=recipe.columns,
            processes=threads,
            progress=lambda outcomes, number: bars.track(outcomes, total=number, description="preparing"),
            wanted=Wanted(form=form, labels=labels, views=tuple(views or ()), split=split),
        )
    for remark in prepared.remarks:
        console.print(f"note: {remark}", highlight=False, soft_wrap=True)
    for file, reason in prepared.refused:
        console.print(f"left out: {file}: {reason}", highlight=False, soft_wrap=True)
    console.print(f"{len(prepared.examples)} images prepared, {len(prepared.refused)} left out")
    console.print(f"digest of images and labels: {prepared.digest}", highlight=False, soft_wrap=True)


@app.command("train")
def train_folds(
    data: Data,
    work: Work,
    *,
    network: Network = "document-cnn",
    fold: Annotated[
        list[int] | None,
        typer.Option(help=f"Hold this fold out; {train.ALL}: train on everything. Default: each in turn."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Epochs of the lesion stage, instead of the recipe's.", min=1)
    ] = None,
    seed: Annotated[int, typer.Option(help="Fixes order, movements, dropout and first weights.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the last finished epoch.")] = False,
    threads: Threads = 2,
) -> None:
    """Train one network per fold and one on everything, each with a checkpoint after every epoch."""
    networks.fix_computation(threads)
    recipe = with_epochs(_recipe(network), epochs)
    prepared = prepare.load(data, work, rows=recipe.rows, columns=recipe.columns)
    theirs = folds.of(prepared.examples, folds.read())
    for number in fold or [*range(folds.FOLDS), train.ALL]:
        _train_one(prepared, theirs, _folder(work, network, number), recipe, number, seed=seed, resume=resume)


@app.command("evaluate")
def evaluate_folds(data: Data, work: Work, network: Network = "document-cnn", threads: Threads = 2) -> None:
    """Join the out-of-fold predictions and compute every figure, per source and pooled."""
    networks.fix_computation(threads)
    recipe = _recipe(network)
    prepared = prepare.load(data, work, rows=recipe.rows, columns=recipe.columns)
    theirs = folds.of(prepared.examples, folds.read())
    parts = []
    for number in range(folds.FOLDS):
        held_out = np.flatnonzero(np.array(theirs) == number)
        model = networks.build(recipe.network, rows=recipe.rows, columns=recipe.columns)
        networks.load_weights(model, _folder(work, network, number) / train.WEIGHTS)
        parts.append((held_out, train.predict(model, prepared, held_out)))
    table = work / network / exporting.PREDICTIONS
    predictions.write(predictions.collect(prepared.examples, theirs, parts), table)
    figures = evaluation.evaluate(predictions.read(table))
    (work / network / exporting.EVALUATION).write_text(exporting.as_json(figures), encoding="utf-8")
    console.print(_summary(figures))


@app.command("export")
def export_model(
    data: Data,
    work: Work,
    version: Annotated[str, typer.Option(help="Version of the model.")],
    to: Annotated[Path, typer.Option(help="Folder in which <network>-<version> is made.")],
    *,
    network: Network = "document-cnn",
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite a folder that is there.")] = False,
) -> None:
    """Write the shipped folder: weights, manifest, card, notice, evaluation and out-of-fold predictions."""
    recipe = _recipe(network)
    prepared = prepare.load(data, work, rows=recipe.rows, columns=recipe.columns)
    folder = exporting.export(
        work / network,
        _folder(work, network, train.ALL) / train.WEIGHTS,
        to / f"{network}-{version}",
        recipe=recipe,
        version=version,
        digest=prepared.digest,
        replace=replace,
    )
    console.print(f"written: {folder}", highlight=False, soft_wrap=True)


def main() -> None:
    """Run the command line; expected errors end with their sentence and exit code 2."""
    try:
        app()
    except _EXPECTED as error:
        Console(stderr=True).print(f"error: {error}", style="red", highlight=False, soft_wrap=True)
        raise SystemExit(2) from error


def _train_one(
    prepared: prepare.Prepared,
    theirs: list[int],
    folder: Path,
    recipe: Recipe,
    number: int,
    *,
    seed: int,
    resume: bool,
) -> None:
    name = "everything" if number == train.ALL else f"fold {number}"
    with Progress(console=console) as bars:

        def track(batches: Iterable[Any], title: str, total: int) -> Iterable[Any]:
            task = bars.add_task(f"{name}: {title}", total=total)
            yield from bars.track(batches, task_id=task)
            bars.remove_task(task)

        train.run(
            train.training_set(prepared, theirs, number),
            folder,
            recipe,
            seed=seed,
            resume=resume,
            progress=track,
            report=lambda epoch: console.print(_line(name, epoch), highlight=False),
        )


def _line(name: str, epoch: train.Epoch) -> str:
    return f"{name}, {epoch.stage} {epoch.number + 1}: loss {epoch.loss:.3f}, {epoch.seconds:.0f} s"


def _recipe(network: str) -> Recipe:
    if network not in RECIPES:
        raise typer.BadParameter(f"no recipe for {network!r}; there is {', '.join(RECIPES)}")
    return RECIPES[network]


def _folder(work: Path, network: str, number: int) -> Path:
    return work / network / ("everything" if number == train.ALL else f"fold-{number}")


def _summary(figures: dict[str, Any]) -> Table:
    table = Table(
        "source", "images", "balanced accuracy (95 %)", "chance", "malignant AUC (95 %)", title="out of fold"
    )
    for name, its in {**figures["sources"], "pooled": figures["pooled"]}.items():
        accuracy = its["balanced_accuracy"]
        table.add_row(
            name,
            str(its["images"]),
            card.with_interval(accuracy),
            f"{accuracy['chance']:.3f}",
            card.with_interval(its["malignant_auc"]),
        )
    return table


if __name__ == "__main__":
    main()
