"""Markdown from templates: the environment that renders them, and how they state figures.

The templates lie in ``templates``; `card` renders the model's card, the comparison and the robustness command
their tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from inference.findings import CLASSES
from models.training.evaluation.figures import BalancedAccuracy
from models.training.evaluation.flag_thresholds import SPECIFICITY
from models.training.evaluation.group import ENOUGH
from models.training.evaluation.measured import RobustnessFigures
from models.training.evaluation.measures import Estimate
from models.training.evaluation.points import Rule

TEMPLATES: Final = Path(__file__).with_name("templates")

_TOO_FEW: Final = "too few images"
_SOURCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "rsna": "RSNA (several digital scanners)",
        "cbis-ddsm": "CBIS-DDSM masses (digitised film)",
        "inbreast": "INbreast (Siemens digital)",
        "mini-mias": "mini-MIAS (digitised film)",
        "bwh-selenia": "Selenia (Hologic digital)",
    }
)


def render(template: str, **values: object) -> str:
    """Render the template of this name."""
    return _environment().get_template(template).render(values)


def robustness(figures: RobustnessFigures) -> str:
    """Write a table with a line per disturbance: the change of AUC per source, with its sign."""
    return render("robustness.md", figures=figures)


def interval(estimate: Estimate | BalancedAccuracy | None) -> str:
    """Write a figure with its interval, or why there is none."""
    if isinstance(estimate, BalancedAccuracy):
        estimate = estimate.estimate
    if estimate is None:
        return _TOO_FEW
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def number(value: float | None) -> str:
    """Write a figure without interval."""
    return "-" if value is None else f"{value:.3f}"


def _signed(change: Estimate | None) -> str:
    """Write a change with its interval."""
    if change is None:
        return "-"
    return f"{change.value:+.3f} ({change.low:+.3f} to {change.high:+.3f})"


def _hundred(share: float | None) -> str:
    """Write a share as so many of a hundred."""
    return "-" if share is None else f"{100 * share:.0f}"


def _chance(accuracy: BalancedAccuracy | None) -> str:
    """Write what guessing gives."""
    return number(None if accuracy is None else accuracy.chance)


def _source(name: str) -> str:
    """Write a source with what it is."""
    return _SOURCES.get(name, name)


def _lines(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """List the figures in ``value``, however deep they lie: where each is, and what it is."""
    if isinstance(value, Estimate):
        yield ", ".join(path), interval(value)
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _lines(part, (*path, str(key)))
    elif is_dataclass(value):
        for field in fields(value):
            yield from _lines(
                getattr(value, field.name), (*path, field.metadata.get("alias", field.name).replace("_", " "))
            )
    elif isinstance(value, tuple):
        yield ", ".join(path), ", ".join(map(str, value))
    else:
        yield ", ".join(path), f"{value:.3f}" if isinstance(value, float) else str(value)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown of our own figures, not HTML
    )
    environment.filters |= {
        "chance": _chance,
        "hundred": _hundred,
        "interval": interval,
        "number": number,
        "signed": _signed,
        "source": _source,
    }
    environment.globals |= {
        "CLASSES": CLASSES,
        "ENOUGH": ENOUGH,
        "Rule": Rule,
        "SPECIFICITY": SPECIFICITY,
        "lines": _lines,
        "zip": zip,
    }
    return environment
