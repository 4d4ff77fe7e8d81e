"""`python -m models.training evaluate`: every figure of the folds that are trained."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from inference.network import engine
from models.training.commands import display, options
from models.training.evaluation import predictions
from models.training.evaluation.calibration import Method
from models.training.evaluation.figures import Evaluation
from models.training.evaluation.points import Rule
from models.training.images import prepare
from models.training.learning import train
from models.training.measuring import held_out, slots
from models.training.publishing import markdown, publish
from models.training.publishing.publish import Choices
from models.training.sources import folds


def run(
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
