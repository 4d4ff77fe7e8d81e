"""Write what stands beside the weights and follows from the out-of-fold predictions: figures, card, plots."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.training import json_files
from models.training.evaluation import predictions
from models.training.evaluation.calibration import Method
from models.training.evaluation.evaluate import NO_MEASUREMENT, evaluate
from models.training.evaluation.figures import Evaluation
from models.training.evaluation.measured import Measured, measured_of
from models.training.evaluation.points import Rule
from models.training.publishing import card, plots

EVALUATION: Final = "evaluation.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Choices:
    """What an evaluation cannot compute from the predictions."""

    rule: Rule = Rule.SENSITIVITY
    method: Method = Method.TEMPERATURE
    measured: Measured = NO_MEASUREMENT
    """With the images or the network."""


def publish(folder: Path, *, name: str, version: str, choices: Choices) -> Evaluation:
    """Write figures, plots and card from the predictions in ``folder``, and return the figures."""
    figures = measure(folder, choices)
    (folder / card.CARD).write_text(card.render(figures, name=name, version=version), encoding="utf-8")
    return figures


def measure(folder: Path, choices: Choices) -> Evaluation:
    """Write figures and plots from the predictions in ``folder``, and return the figures."""
    table = predictions.read(folder / predictions.FILE_NAME)
    figures = evaluate(table, rule=choices.rule, method=choices.method, measured=choices.measured)
    (folder / EVALUATION).write_text(json_files.text(figures), encoding="utf-8")
    plots.draw(figures, table, folder)
    return figures


def evaluation_of(folder: Path) -> Evaluation | None:
    """Read the figures that were written to ``folder``; None where there are none. Raises FiguresError."""
    path = folder / EVALUATION
    return json_files.read(Evaluation, path) if path.exists() else None


def choices(figures: Evaluation | None) -> Choices:
    """Return what led to ``figures``; the defaults where there are none."""
    if figures is None:
        return Choices()
    return Choices(rule=figures.rule, method=figures.calibration.method, measured=measured_of(figures))
