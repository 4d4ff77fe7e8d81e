"""What was measured beside a run's predictions, gathered for its evaluation.

A run's folder may hold ``fold-0/history.jsonl`` and so on (training curves), ``features.npz`` (what the
network and plain statistics say of each row of the table of predictions), and one JSON file for each test
that needs images: ``pointing.json``, ``robustness.json``, ``gate.json``, ``cost.json``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from models.training import json_files
from models.training.evaluation import predictions
from models.training.evaluation.measured import (
    CostFigures,
    EpochLosses,
    GateFigures,
    Measured,
    PointingFigures,
    RobustnessFigures,
    SourceProbe,
)
from models.training.evaluation.measures import rounded
from models.training.learning.train import HISTORY
from models.training.measuring import shortcut
from models.training.sources.folds import FOLDS

FEATURES: Final = "features.npz"

Figures = TypeVar("Figures")


def gather(folder: Path, table: Path) -> Measured:
    """Read what lies in ``folder``; ``table`` holds the predictions that the rows of the features belong to.

    Raises FiguresError where a file does not hold what its name says.
    """
    return Measured(
        training=_training(folder) or None,
        telling_sources=_telling_sources(folder / FEATURES, table),
        pointing=_read(PointingFigures, folder / "pointing.json"),
        robustness=_read(RobustnessFigures, folder / "robustness.json"),
        gate=_read(GateFigures, folder / "gate.json"),
        cost=_read(CostFigures, folder / "cost.json"),
    )


def _read(kind: type[Figures], path: Path) -> Figures | None:
    return json_files.read(kind, path) if path.exists() else None


def _training(folder: Path) -> tuple[EpochLosses, ...]:
    """Return every epoch of every fold."""
    return tuple(
        _epoch(fold, line)
        for fold in range(FOLDS)
        if (path := folder / f"fold-{fold}" / HISTORY).exists()
        for line in path.read_text(encoding="utf-8").splitlines()
    )


def _epoch(fold: int, line: str) -> EpochLosses:
    epoch = json.loads(line)
    loss, validation_loss = epoch.get("loss"), epoch.get("validation_loss")
    return EpochLosses(
        fold=fold,
        stage=epoch["stage"],
        number=epoch["number"],
        loss=None if loss is None else rounded(loss),
        validation_loss=None if validation_loss is None else rounded(validation_loss),
    )


def _telling_sources(path: Path, table: Path) -> dict[str, SourceProbe] | None:
    if not path.exists():
        return None
    rows = predictions.read(table)
    with np.load(path, allow_pickle=False) as arrays:
        return {
            name.replace("_", " "): shortcut.tell_sources(arrays[name], rows) for name in sorted(arrays.files)
        }
