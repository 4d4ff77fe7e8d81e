"""How commands write: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from rich.console import Console
from rich.table import Table

WIDTH_OF_A_FILE: Final = 200
"""Characters of a line where output goes into a file or a pipe: wide enough not to fold UIDs."""


def out() -> Console:
    """Return the console for results. Nothing in square brackets is taken for markup."""
    width = None if sys.stdout.isatty() else WIDTH_OF_A_FILE
    return Console(markup=False, highlight=False, width=width)


def err() -> Console:
    """Return the console for progress and errors."""
    width = None if sys.stderr.isatty() else WIDTH_OF_A_FILE
    return Console(stderr=True, markup=False, highlight=False, width=width)


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """Return a table; None is shown as nothing."""
    grid = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*("" if cell is None else str(cell) for cell in row))
    return grid


def print_json(fields: Mapping[str, object]) -> None:
    """Print one JSON object on one line, times in ISO 8601."""
    sys.stdout.write(json.dumps(fields, default=_plain) + "\n")
    sys.stdout.flush()


def moment(at: datetime | None) -> str | None:
    """Return ``at`` in the local time of this machine, to the second."""
    return None if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
