"""Figures as they are stated: three decimals, in evaluation and card alike."""

from __future__ import annotations

from typing import Final

from models.training.evaluation.measures import Estimate

_DIGITS: Final = 3


def rounded(value: float) -> float:
    """Round a figure."""
    return round(value, _DIGITS)


def stated(estimate: Estimate | None) -> dict[str, float] | None:
    """Round a figure and its interval; None stays None."""
    if estimate is None:
        return None
    return {"value": rounded(estimate.value), "low": rounded(estimate.low), "high": rounded(estimate.high)}
