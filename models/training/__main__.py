"""`python -m models.training prepare | train | evaluate | compare | export | card`: images to model."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from inference.analysis.gate import TooFewError
from inference.errors import ModelError
from inference.network import engine
from inference.network import manifest as manifests
from inference.network import weights as weight_files
from inference.network.manifest import ManifestError
from models.training.commands import cost, gate, pointing, robustness
from models.training.commands.card import write_card
from models.training.comparison import compare
from models.training.evaluation.calibration import Method
from models.training.evaluation.points import PointError, Rule
from models.training.images import lesions, prepare
from models.training.learning import head, terms, train
from models.training.learning.epochs import Epoch
from models.training.learning.recipes import RECIPES, Recipe, with_epochs
from models.training.measuring import held_out
from models.training.measuring.out_of_fold import NoRunsError
from models.training.publishing import export as exporting
from models.training.publishing import joining, publish, slots, tables
from models.training.publishing.card import CardError
from models.training.sources import folds
from models.training.sources.labels import LabelsError
from models.training.sources.reading import Form, Split, Wanted

_EXPECTED: Final = (
    LabelsError,
    lesions.NoLesionsError,
    head.TooFewImagesError,
    CardError,
    PointError,
    held_out.NothingTrainedError,
    ManifestError,
    ModelError,
    NoRunsError,
    TooFewError,
    prepare.NotPreparedError,
    train.NoStartError,
    train.UnfinishedRunError,
    terms.OtherTermsError,
    exporting.ExportError,
    joining.JoiningError,
    weight_files.WeightsError,
    *compare.EXPECTED,
)

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Train, evaluate and export a network.")
app.command()(compare.compare)
app.command("card")(write_card)
app.command("pointing")(pointing.run)
app.command("robustness")(robustness.run)
app.command("gate")(gate.run)
app.command("cost")(cost.run)
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
    imagenet: Annotated[
        Path | None,
        typer.Option(help="ImageNet's weights of EfficientNet-Lite0 (.npz).", exists=True, dir_okay=False),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the last finished epoch.")] = False,
    threads: Threads = 2,
) -> None:
    """Train one network per fold and one on everything, each with a checkpoint after every epoch."""
    engine.fix_computation(threads)
    recipe = with_epochs(_recipe(network), epochs)
    prepared = prepare.load(data, work, rows=recipe.rows, columns=recipe.columns)
    theirs = folds.of(prepared.examples, folds.read())
    for number in fold or [*range(folds.FOLDS), train.ALL]:
        name = "everything" if number == train.ALL else f"fold {number}"
        with Progress(console=console) as bars:
            train.run(
                prepared,
                theirs,
                number,
                _folder(work, network, number),
                recipe,
                seed=seed,
                resume=resume,
                imagenet=imagenet,
                progress=partial(_track, bars, name),
                report=lambda epoch, name=name: console.print(_line(name, epoch), highlight=False),  # type: ignore[misc]
            )


@app.command("evaluate")
def evaluate_folds(
    data: Data,
    work: Work,
    *,
    network: Network = "document-cnn",
    rule: Annotated[
        Rule, typer.Option(help="What fixes the operating point of the manifest; both are stated.")
    ] = Rule.SENSITIVITY,
    method: Annotated[
        Method, typer.Option(help="How scores are calibrated; all ways are compared.")
    ] = Method.TEMPERATURE,
    threads: Threads = 2,
) -> None:
    """Join the out-of-fold predictions of the folds that are trained, compute and draw every figure."""
    engine.fix_computation(threads)
    recipe = _recipe(network)
    prepared = prepare.load(data, work, rows=recipe.rows, columns=recipe.columns)
    theirs = folds.of(prepared.examples, folds.read())
    weights = {number: _folder(work, network, number) / train.WEIGHTS for number in range(folds.FOLDS)}
    run = work / network
    there = held_out.write(prepared, theirs, weights, recipe, run)
    console.print(f"held out: folds {', '.join(map(str, there))} of {folds.FOLDS}", highlight=False)
    measured = slots.gather(run, run / publish.PREDICTIONS)
    console.print(_summary(publish.measure(run, rule=rule, method=method, slots=measured)))


@app.command("export")
def export_model(
    data: Data,
    work: Work,
    version: Annotated[str, typer.Option(help="Version of the model.")],
    to: Annotated[Path, typer.Option(help="Folder in which <network>-<version> is made.")],
    *,
    network: Network = "document-cnn",
    join: Annotated[
        list[int] | None,
        typer.Option(help="Ship this fold's network, joined with others. Default: the one trained on all."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite a folder that is there.")] = False,
) -> None:
    """Write the shipped folder: weights, manifest, card, notice, evaluation and out-of-fold predictions."""
    recipe = _recipe(network)
    prepared = prepare.load(data, work, rows=recipe.rows, columns=recipe.columns)
    folder = exporting.export(
        work / network,
        [_folder(work, network, number) / train.WEIGHTS for number in join or [train.ALL]],
        to / f"{network}-{version}",
        recipe=recipe,
        version=version,
        digest=prepared.digest,
        replace=replace,
    )
    console.print(f"written: {folder}", highlight=False, soft_wrap=True)
    console.print(
        "SHA-256 of its manifest, for inference/network/manifest.py if it is shipped: "
        f"{manifests.load(folder).own_sha256}",
        highlight=False,
        soft_wrap=True,
    )


def main() -> None:
    """Run the command line; expected errors end with their sentence and exit code 2."""
    try:
        app()
    except _EXPECTED as error:
        Console(stderr=True).print(f"error: {error}", style="red", highlight=False, soft_wrap=True)
        raise SystemExit(2) from error


def _track(bars: Progress, name: str, batches: Iterable[Any], title: str, total: int) -> Iterable[Any]:
    task = bars.add_task(f"{name}: {title}", total=total)
    yield from bars.track(batches, task_id=task)
    bars.remove_task(task)


def _line(name: str, epoch: Epoch) -> str:
    validation = "" if epoch.validation_loss is None else f", held out {epoch.validation_loss:.3f}"
    number = epoch.number + 1
    return f"{name}, {epoch.stage} {number}: loss {epoch.loss:.3f}{validation}, {epoch.seconds:.0f} s"


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
            tables.with_interval(accuracy),
            f"{accuracy['chance']:.3f}",
            tables.with_interval(its["malignant_auc"]),
        )
    return table


if __name__ == "__main__":
    main()
