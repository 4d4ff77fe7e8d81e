"""The place of a file of SQLite that a database is moved to or from; satisfies `database.backend.Place`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from storage.database import upgrade
from storage.database.patience import Patience
from storage.database.sqlite import backend, creation
from storage.database.sqlite.backend import NAME, File
from storage.database.sqlite.connection import connect
from storage.database.upgrade import MOVED


@dataclass(frozen=True, slots=True)
class FilePlace:
    """The file in ``data_dir``."""

    data_dir: Path
    url: None = None

    @property
    def name(self) -> str:
        """The file, as it was named."""
        return str(self.data_dir / NAME)

    def revision(self) -> str | None:
        """Return what stands in the place of its revision; None where there is no file."""
        file = self.data_dir / NAME
        if not file.exists():
            return None
        with backend.translated(file):
            return creation.examine(file)

    def make_filled(self, fill: Callable[[Connection], None]) -> None:
        """Make the file with all its tables and what ``fill`` writes, whole or not at all.

        One that was left when the database moved away stays beside; one that was never whole goes.
        """
        file, left = self.data_dir / NAME, self.revision()
        unfinished = file.with_name(f"{file.stem}-moving.sqlite")
        unfinished.unlink(missing_ok=True)
        creation.create(unfinished, lambda new: self._fill(new, fill))
        if left is not None:
            _close(file)
            if left.startswith(MOVED):
                file.rename(file.with_name(f"{file.stem}-{left}.sqlite"))
        unfinished.replace(file)
        creation.synced(self.data_dir)

    def opened(self) -> File:
        """Return the file that is not in force yet, open for changes."""
        return backend.open_file(self.data_dir / NAME, Patience(0))

    def last_numbers(self, tx: Connection) -> dict[str, int]:
        """Return the last number that a row of each table has had."""
        return {name: int(last) for name, last in tx.exec_driver_sql("SELECT name, seq FROM sqlite_sequence")}

    def write_last_numbers(self, tx: Connection, numbers: Mapping[str, int]) -> None:
        """Let the next row of each table have the number after that."""
        for table, number in numbers.items():
            tx.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
            tx.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, number))

    def _fill(self, new: Path, fill: Callable[[Connection], None]) -> None:
        opened = backend.open_file(new, Patience(0))
        try:
            with opened.translated(), opened.transaction(writing=True) as tx:
                upgrade.bring_up_to_date(tx, self.name, before=lambda _: None)
                fill(tx)
                tx.commit()
        finally:
            opened.close()


def _close(file: Path) -> None:
    """Leave nothing of the database outside its file: another one's log will have the same name."""
    with closing(connect(file, "rw")) as connection:
        connection.execute("PRAGMA journal_mode=DELETE").close()
