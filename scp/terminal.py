"""How commands write: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from rich.progress import Progress

WIDTH_OF_A_FILE: Final = 200
"""Characters of a line where output goes into a file or a pipe: wide enough not to fold UIDs."""

BORDER: Final = 1
"""Characters of the left border of a table."""
BORDER_OF_A_COLUMN: Final = 3
"""Characters of padding and line of each column."""

PRINTED_KEYS: Final = {
    "outstanding": "owed",
    "problems": "troubles",
    "warnings": "doubts",
    "warning": "doubt",
}
"""Keys of ``--json`` that are not named as the field: scripts rely on them."""


def out() -> Console:
    """Return the console for results. Nothing in it is taken for markup, nor for the name of a picture."""
    width = None if sys.stdout.isatty() else WIDTH_OF_A_FILE
    return Console(markup=False, emoji=False, highlight=False, width=width)


def err() -> Console:
    """Return the console for progress and errors."""
    width = None if sys.stderr.isatty() else WIDTH_OF_A_FILE
    return Console(stderr=True, markup=False, emoji=False, highlight=False, width=width)


def say(console: Console, text: str) -> None:
    """Print sentences: at a terminal no line is wider than it, and no word, such as a path, is cut.

    Into a file or a pipe each stays one line; indented lines, which are to be copied, stay as they are.
    """
    lines = text.split("\n")
    if console.is_terminal:
        lines = [
            line
            if line[:1].isspace()
            else textwrap.fill(line, console.width, break_long_words=False, break_on_hyphens=False)
            for line in lines
        ]
    console.print("\n".join(lines), soft_wrap=True)


def progress() -> Progress:
    """Return a progress bar on standard error, gone when it is left."""
    # imported here: `status` shows none
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err(),
        transient=True,
    )


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows under headings: a table where no word of it must be cut, else a record of lines for each row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield what fits into the width of ``options``: a UID stays whole, to be copied."""
        room = options.max_width - BORDER - BORDER_OF_A_COLUMN * len(self.columns)
        widths = self._widths(room)
        if widths is None:
            yield from self._records()
            return
        grid = Table(title=self.title, title_justify="left", title_style="bold")
        for column, width in zip(self.columns, widths, strict=True):
            grid.add_column(column, width=width)
        for row in self.rows:
            grid.add_row(*row)
        yield grid

    def _widths(self, room: int) -> list[int] | None:
        """Return widths that add up to at most ``room`` and cut no word; None where there are none."""
        by_column = list(zip(self.columns, *self.rows, strict=True))
        widths = [max(map(cell_len, cells)) for cells in by_column]
        least = [
            max(cell_len(word) for cell in cells for word in cell.split() or [""]) for cells in by_column
        ]
        if sum(least) > room:
            return None
        while (excess := sum(widths) - room) > 0:
            widest = max(range(len(widths)), key=lambda number: widths[number] - least[number])
            widths[widest] -= min(excess, max(1, (widths[widest] - least[widest]) // 2))
        return widths

    def _records(self) -> Iterator[Text]:
        yield Text(self.title, style="bold")
        indent = max(map(len, self.columns)) + 2
        for row in self.rows:
            for column, cell in zip(self.columns, row, strict=True):
                if cell:
                    yield Text(f"{column:<{indent}}{cell}")
            yield Text()


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Listing:
    """Return a table; None is shown as nothing."""
    return Listing(title, tuple(columns), tuple(tuple(map(_cell, row)) for row in rows))


def as_fields(record: DataclassInstance) -> dict[str, Any]:
    """Return the fields of ``record`` as ``--json`` prints them, those of its parts as well."""
    return asdict(
        record, dict_factory=lambda fields: {PRINTED_KEYS.get(name, name): value for name, value in fields}
    )


def printable(text: str) -> str:
    """Return ``text`` with control characters written out: none of a file's name reaches a terminal."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def _cell(value: object) -> str:
    """Return ``value`` for a table: texts of ours may have several lines, names of files have one."""
    if value is None:
        return ""
    return (
        printable(str(value))
        if isinstance(value, Path)
        else "\n".join(map(printable, str(value).split("\n")))
    )


def print_json(fields: Mapping[str, object]) -> None:
    """Print one JSON object on one line, times in ISO 8601."""
    sys.stdout.write(json.dumps(fields, default=_plain) + "\n")
    sys.stdout.flush()


def moment(at: datetime | None) -> str | None:
    """Return ``at`` in the local time of this machine, to the second, with its zone."""
    return None if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
