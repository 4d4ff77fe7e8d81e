"""The thresholds of a model as the tables of its manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping

from models.training.evaluation.flag_thresholds import FlagFigures


def write(points: Mapping[str, FlagFigures]) -> str:
    """Return one TOML table for each of ``points``, parted by an empty line."""
    return "\n".join(_table(name, point) for name, point in points.items())


def _table(name: str, point: FlagFigures) -> str:
    return f"""\
[flag.{name}]
threshold = {point.threshold}
basis = {json.dumps(point.basis)}
specificity = {_inline(point.specificity)}
sensitivity = {_inline(point.sensitivity)}
"""


def _inline(shares: Mapping[str, float]) -> str:
    return "{ " + ", ".join(f"{json.dumps(name)} = {share}" for name, share in shares.items()) + " }"
