"""All commands of `python -m models.training` and the errors that end them with a sentence."""

from __future__ import annotations

from typing import Final

import typer
from rich.console import Console

from inference.analysis.gate import TooFewError
from inference.errors import ManifestError, ModelError
from inference.network.weights import WeightsError
from models.training.commands import compare, gate, measure, prepare, publish, train
from models.training.comparison.candidate import ComparisonError
from models.training.evaluation.points import PointError
from models.training.images.lesions import NoLesionsError
from models.training.images.prepare import NotPreparedError
from models.training.json_files import FiguresError
from models.training.learning.head import TooFewImagesError
from models.training.learning.published import StartError
from models.training.learning.terms import OtherTermsError
from models.training.learning.train import NoStartError, UnfinishedRunError
from models.training.measuring.held_out import NothingTrainedError
from models.training.measuring.out_of_fold import NoRunsError
from models.training.publishing.card import CardError
from models.training.publishing.export import ExportError
from models.training.publishing.joining import JoiningError
from models.training.sources.labels import LabelsError

EXPECTED: Final = (
    CardError,
    ComparisonError,
    ExportError,
    FiguresError,
    JoiningError,
    LabelsError,
    ManifestError,
    ModelError,
    NoLesionsError,
    NoRunsError,
    NoStartError,
    NotPreparedError,
    NothingTrainedError,
    OtherTermsError,
    PointError,
    StartError,
    TooFewError,
    TooFewImagesError,
    UnfinishedRunError,
    WeightsError,
)
"""Errors that say all that there is to say."""

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Train, evaluate and export a network.")
app.command("prepare")(prepare.run)
app.command("train")(train.run)
app.command("evaluate")(publish.evaluate)
app.command("export")(publish.export)
app.command("card")(publish.card)
app.command("compare")(compare.run)
app.command("pointing")(measure.pointing)
app.command("robustness")(measure.robustness)
app.command("gate")(gate.run)
app.command("cost")(measure.cost)


def main() -> None:
    """Run the command line; expected errors end with their sentence and exit code 2."""
    try:
        app()
    except EXPECTED as error:
        Console(stderr=True).print(f"error: {error}", style="red", highlight=False, soft_wrap=True)
        raise SystemExit(2) from error
