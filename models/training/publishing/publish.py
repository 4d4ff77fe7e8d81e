"""Write what stands beside the weights and follows from the out-of-fold predictions: figures, card, plots."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from models.training.evaluation import predictions
from models.training.evaluation.calibration import Method
from models.training.evaluation.evaluate import SLOTS, evaluate
from models.training.evaluation.points import Rule
from models.training.publishing import card, plots

EVALUATION: Final = "evaluation.json"


def publish(
    folder: Path,
    *,
    name: str,
    version: str,
    rule: Rule = Rule.SENSITIVITY,
    method: Method = Method.TEMPERATURE,
    slots: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write figures, plots and card from the predictions in ``folder``, and return the figures.

    ``slots`` is what was measured elsewhere, by the names in `SLOTS`.
    """
    figures = measure(folder, rule=rule, method=method, slots=slots)
    (folder / card.CARD).write_text(card.render(figures, name=name, version=version), encoding="utf-8")
    return figures


def measure(
    folder: Path, *, rule: Rule, method: Method, slots: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Write figures and plots from the predictions in ``folder``, and return the figures."""
    table = predictions.read(folder / predictions.FILE_NAME)
    figures = evaluate(table, rule=rule, method=method, slots=slots)
    (folder / EVALUATION).write_text(as_json(figures), encoding="utf-8")
    plots.draw(figures, table, folder)
    return figures


def kept(folder: Path) -> dict[str, Any]:
    """Read the figures that were written to ``folder``; empty where there are none."""
    path = folder / EVALUATION
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def choices(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the evaluation ``figures`` was told and cannot compute from the predictions."""
    return {
        "rule": Rule(figures.get("rule", Rule.SENSITIVITY)),
        "method": Method(figures.get("calibration", {}).get("method", Method.TEMPERATURE)),
        "slots": {name: figures[name] for name in SLOTS if name in figures},
    }


def as_json(figures: Mapping[str, Any]) -> str:
    """Write the evaluation as it is committed: what holds no further table stands on one line."""
    return _nested(figures, 0) + "\n"


def _nested(value: Any, depth: int) -> str:  # noqa: ANN401 - any JSON value
    if not isinstance(value, dict | list) or not value or not _deep(value):
        return json.dumps(value)
    inner = " " * (depth + 1)
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(key)}: {_nested(its, depth + 1)}" for key, its in value.items()]
        opening, closing = "{}"
    else:
        lines = [inner + _nested(its, depth + 1) for its in value]
        opening, closing = "[]"
    return opening + "\n" + ",\n".join(lines) + "\n" + " " * depth + closing


def _deep(value: dict[str, Any] | list[Any]) -> bool:
    inner = value.values() if isinstance(value, dict) else value
    return any(isinstance(its, dict | list) for its in inner)
