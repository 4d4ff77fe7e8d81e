"""Charts as numbers that a template draws: inline SVG, made here, without any script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from storage.overview.recent import Hour

WIDTH: Final = 240
HEIGHT: Final = 56
GAP: Final = 2
"""Units between two bars."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One bar of a chart, in units of its SVG."""

    x: float
    y: float
    width: float
    height: float
    words: str
    """What it shows, for who points at it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """One measure over the last 24 hours."""

    title: str
    total: str
    """What it comes to."""
    highest: str
    """The highest bar's value, which the scale ends with."""
    bars: tuple[Bar, ...]
    rows: tuple[tuple[str, str], ...]
    """The same as a table: hour and value."""


def of_day(hours: Sequence[Hour]) -> list[Chart]:
    """Return the charts of the overview."""
    seconds = [hour.seconds for hour in hours if hour.seconds is not None]
    middle = f"{sorted(seconds)[len(seconds) // 2]:.0f} s" if seconds else "none yet"
    return [
        _chart("Images received", hours, [hour.received for hour in hours]),
        _chart("Images analysed", hours, [hour.analysed for hour in hours]),
        _chart("Objects returned", hours, [hour.returned for hour in hours]),
        _chart(
            "Receipt to return",
            hours,
            [hour.seconds for hour in hours],
            total=middle,
            unit=" s",
        ),
    ]


def _chart(
    title: str,
    hours: Sequence[Hour],
    measured: Sequence[float | None],
    *,
    total: str | None = None,
    unit: str = "",
) -> Chart:
    """Return the chart of what was ``measured`` in each hour, None where there was nothing to measure."""
    values = [value or 0.0 for value in measured]
    highest = max(values, default=0)
    width = WIDTH / len(values)
    labels = [f"{hour.begin.astimezone():%H:%M %Z}" for hour in hours]
    words = ["none" if value is None else f"{value:.0f}{unit}" for value in measured]
    return Chart(
        title=title,
        total=f"{sum(values):.0f}" if total is None else total,
        highest=f"{highest:.0f}{unit}",
        bars=tuple(
            Bar(
                x=round(number * width + GAP / 2, 2),
                y=round(HEIGHT - _height(value, highest), 2),
                width=round(width - GAP, 2),
                height=round(_height(value, highest), 2),
                words=f"from {labels[number]}: {words[number]}",
            )
            for number, value in enumerate(values)
        ),
        rows=tuple(zip(labels, words, strict=True)),
    )


def _height(value: float, highest: float) -> float:
    """Return the height of a bar; the least that is not zero is still seen."""
    return 0.0 if value <= 0 or highest <= 0 else max(2.0, HEIGHT * value / highest)


def histogram(values: Sequence[float], *, bins: int = 20) -> tuple[Bar, ...]:
    """Return how many ``values`` of 0 to 1 lie in each of ``bins`` equal parts."""
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, max(0, int(value * bins)))] += 1
    highest, width = max(counts, default=0), WIDTH / bins
    return tuple(
        Bar(
            x=round(number * width + GAP / 2, 2),
            y=round(HEIGHT - _height(count, highest), 2),
            width=round(width - GAP, 2),
            height=round(_height(count, highest), 2),
            words=f"{number / bins:.2f} to {(number + 1) / bins:.2f}: {count}",
        )
        for number, count in enumerate(counts)
    )
