"""The place of a database of PostgreSQL that one is moved to or from; satisfies `database.backend.Place`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, MetaData, column, func, inspect, select, table

from storage.database import schema, upgrade
from storage.database.patience import Patience
from storage.database.postgresql import connection as server
from storage.database.postgresql.backend import Server, open_for_reading
from storage.database.postgresql.guard import Company, Guard
from storage.errors import DatabaseError


@dataclass(frozen=True, slots=True)
class ServerPlace:
    """The database at ``url``."""

    url: str

    @property
    def name(self) -> str:
        """What a sentence calls it."""
        return server.name(server.parse(self.url))

    def revision(self) -> str | None:
        """Return what stands in the place of its revision; None where it has no tables.

        Raises DatabaseError where it cannot be reached, or is another program's.
        """
        opened = open_for_reading(self.url, Patience(0))
        try:
            with opened.translated(), opened.transaction(writing=False) as tx:
                revision = upgrade.current(tx)
                if revision is None and inspect(tx).get_table_names():
                    raise DatabaseError(f"{self.name} is a database of another program: name an empty one")
                return revision
        finally:
            opened.close()

    def make_filled(self, fill: Callable[[Connection], None]) -> None:
        """Make all tables and what ``fill`` writes, in one transaction. Those of a move before go first."""
        opened = self.opened()
        try:
            with opened.translated(), opened.transaction(writing=True) as tx:
                left = MetaData()
                left.reflect(tx)
                left.drop_all(tx)
                upgrade.bring_up_to_date(tx, opened.name, before=lambda _: None)
                fill(tx)
                tx.commit()
        finally:
            opened.close()

    def opened(self) -> Server:
        """Return the database that is not in force yet, open for changes. Raises where a node is on it."""
        parsed = server.parse(self.url)
        engine = server.make_engine(parsed, writable=True)
        opened = Server(self.name, engine, Patience(0), Guard(engine, self.name, Company.NOBODY))
        try:
            opened.check_place(written=False)
        except BaseException:
            opened.close()
            raise
        return opened

    def last_numbers(self, tx: Connection) -> dict[str, int]:
        """Return the last number that a row of each table has had."""
        last = {}
        for name in schema.numbered():
            sequence = table(f"{name}_id_seq", column("last_value"), column("is_called"))
            row = tx.execute(select(sequence)).one()
            if row.is_called:
                last[name] = int(row.last_value)
        return last

    def write_last_numbers(self, tx: Connection, numbers: Mapping[str, int]) -> None:
        """Let the next row of each table have the number after that."""
        # SQLite remembers 0 where an INSERT .. SELECT gave no rows; a sequence begins at 1
        for name, number in {name: last for name, last in numbers.items() if last}.items():
            tx.execute(select(func.setval(f"{name}_id_seq", number)))
