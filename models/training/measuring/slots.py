"""What was measured beside a run's predictions, gathered for its evaluation.

A run's folder may hold ``fold-0/history.jsonl`` and so on (training curves), ``features.npz`` (what the
network and plain statistics say of each row of the table of predictions), and one JSON file for each test
that needs images: ``pointing.json``, ``robustness.json``, ``gate.json``, ``cost.json``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from models.training.evaluation import predictions
from models.training.evaluation.rounding import rounded
from models.training.measuring import shortcut
from models.training.sources.folds import FOLDS

FEATURES: Final = "features.npz"
MEASURED: Final = ("pointing", "robustness", "gate", "cost")

_HISTORY: Final = "history.jsonl"
_TELLING: Final = "telling_sources"


def gather(folder: Path, table: Path) -> dict[str, Any]:
    """Read what lies in ``folder``, by the names in `models.training.evaluation.evaluate.SLOTS`.

    ``table`` holds the predictions that the rows of the features belong to.
    """
    found: dict[str, Any] = {
        name: json.loads(path.read_text(encoding="utf-8"))
        for name in MEASURED
        if (path := folder / f"{name}.json").exists()
    }
    if epochs := _training(folder):
        found["training"] = epochs
    if (folder / FEATURES).exists():
        found[_TELLING] = _telling_sources(folder / FEATURES, predictions.read(table))
    return found


def _training(folder: Path) -> list[dict[str, Any]]:
    """Return every epoch of every fold: fold, stage, number and the losses."""
    return [
        _epoch(fold, json.loads(line))
        for fold in range(FOLDS)
        if (path := folder / f"fold-{fold}" / _HISTORY).exists()
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def _epoch(fold: int, said: dict[str, Any]) -> dict[str, Any]:
    losses = {name: said.get(name) for name in ("loss", "validation_loss")}
    return {
        "fold": fold,
        "stage": said["stage"],
        "number": said["number"],
        **{name: None if value is None else rounded(value) for name, value in losses.items()},
    }


def _telling_sources(path: Path, table: predictions.Predictions) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as arrays:
        return {
            name.replace("_", " "): shortcut.tell_sources(arrays[name], table)
            for name in sorted(arrays.files)
        }
