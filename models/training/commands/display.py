"""What the commands show: progress bars, files that were left out, and where results were written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import Progress

from models.training.json_files import plain
from models.training.measuring.gate_training import Track

console: Final = Console()


@contextmanager
def tracking() -> Iterator[Track]:
    """Give a function that shows a stream as a progress bar, one bar at a time."""
    with Progress(console=console) as bars:

        def track(steps: Iterable[Any], total: int, title: str) -> Iterable[Any]:
            task = bars.add_task(title, total=total)
            yield from bars.track(steps, task_id=task)
            bars.remove_task(task)

        yield track


def line(text: str) -> None:
    """Show one line as it is: not wrapped, no colours."""
    console.print(text, highlight=False, soft_wrap=True)


def left_out(file: str, reason: str) -> None:
    """Name an image without a result."""
    line(f"left out: {file}: {reason}")


def write(path: Path, text: str) -> None:
    """Write a result and say where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    line(f"written: {path}")


def write_figures(path: Path, figures: object) -> None:
    """Write figures as JSON, one space deep for each level."""
    write(path, json.dumps(plain(figures), indent=1, ensure_ascii=False) + "\n")
