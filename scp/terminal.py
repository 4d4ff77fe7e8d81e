"""How commands write: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

WIDTH_OF_A_FILE: Final = 200
"""Characters of a line where output goes into a file or a pipe: wide enough not to fold UIDs."""

PRINTED_KEYS: Final = {
    "outstanding": "owed",
    "problems": "troubles",
    "warnings": "doubts",
    "warning": "doubt",
}
"""Keys of ``--json`` that are not named as the field: scripts rely on them."""


def out() -> Console:
    """Return the console for results. Nothing in square brackets is taken for markup."""
    width = None if sys.stdout.isatty() else WIDTH_OF_A_FILE
    return Console(markup=False, highlight=False, width=width)


def err() -> Console:
    """Return the console for progress and errors."""
    width = None if sys.stderr.isatty() else WIDTH_OF_A_FILE
    return Console(stderr=True, markup=False, highlight=False, width=width)


def progress() -> Progress:
    """Return a progress bar on standard error, gone when it is left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err(),
        transient=True,
    )


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """Return a table; None is shown as nothing."""
    grid = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*("" if cell is None else printable(str(cell)) for cell in row))
    return grid


def as_fields(record: DataclassInstance) -> dict[str, Any]:
    """Return the fields of ``record`` as ``--json`` prints them, those of its parts as well."""
    return asdict(
        record, dict_factory=lambda fields: {PRINTED_KEYS.get(name, name): value for name, value in fields}
    )


def printable(text: str) -> str:
    """Return ``text`` with control characters written out: none of a file's name reaches a terminal."""
    return "".join(
        character
        if character.isprintable() or character == "\n"
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def print_json(fields: Mapping[str, object]) -> None:
    """Print one JSON object on one line, times in ISO 8601."""
    sys.stdout.write(json.dumps(fields, default=_plain) + "\n")
    sys.stdout.flush()


def moment(at: datetime | None) -> str | None:
    """Return ``at`` in the local time of this machine, to the second."""
    return None if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
