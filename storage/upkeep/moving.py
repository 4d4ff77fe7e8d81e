"""A database moved from a file to a server, or back: all its rows, while no node works on either.

The rows of the source stay. What ends is that a node may go on with them: each database says in the place of
its revision whether it is being filled (`MOVING`) or was left (`MOVED`), and no node starts on one that does.
Both carry the number of their move. A kill at any moment leaves one of three things:

1. The source is in force, the target empty or `MOVING`: the next move fills it from the beginning.
2. The source is `MOVED`, the target `MOVING`, and whole: the next move ends this one.
3. The target is in force.
"""

from __future__ import annotations

import secrets
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, insert, select

from storage.database import inspection, schema, upgrade
from storage.database.backend import Place
from storage.database.engine import Database
from storage.database.postgresql.guard import Company
from storage.database.postgresql.place import ServerPlace
from storage.database.sqlite.place import FilePlace
from storage.database.upgrade import MOVED, MOVING
from storage.errors import DatabaseError
from storage.upkeep import restoring

_PIECE: Final = 1000
"""Rows that are held in memory at once."""


def move(data_dir: Path, source_url: str | None, target_url: str | None) -> int:
    """Move the database; return how many rows it has. Only under the node's lock on ``data_dir``.

    A url is that of a database of PostgreSQL; None stands for the file in ``data_dir``.

    Raises
    ------
    DatabaseError
        There is nothing to move, or the target holds something already, or a node works on one of the two, or
        one is out of reach. Until the end, the source is left as it was.
    """
    if restoring.staged(data_dir):
        raise DatabaseError(
            f"a backup waits in {data_dir / restoring.STAGED}: start the node, it takes the backup over"
        )
    source, target = _place(data_dir, source_url), _place(data_dir, target_url)
    before, after = source.revision(), target.revision()
    if before is None:
        raise DatabaseError(f"there is nothing in {source.name} to move")
    if before.startswith(MOVED):
        if after != MOVING + before.removeprefix(MOVED):
            raise DatabaseError(f"{source.name} was moved already: name its new place in [database] url")
        return _put_in_force(target)
    if after is not None and not after.startswith((MOVED, MOVING)):
        raise DatabaseError(
            f"{target.name} holds a database already: name an empty one, it was left as it is"
        )
    state = inspection.inspect(data_dir, url=source_url)
    if state is not None and not state.current:
        raise DatabaseError(
            f"{state.name} has schema {state.revision}, this program works with {state.newest}: start the "
            "node once, it migrates"
        )
    _copy(data_dir, source, target)
    return _put_in_force(target)


def _place(data_dir: Path, url: str | None) -> Place:
    return FilePlace(data_dir) if url is None else ServerPlace(url)


def _copy(data_dir: Path, source: Place, target: Place) -> None:
    """Fill the target, commit it, then let the source be left; nobody else writes meanwhile."""
    number = secrets.token_hex(8)
    database = Database.open(data_dir, url=source.url, company=Company.NOBODY)
    try:
        with database.write() as tx:
            target.make_filled(partial(_fill, source, tx, target, number))
            upgrade.write_revision(tx, MOVED + number)
    finally:
        database.close()


def copy_rows(source: Place, old: Connection, target: Place, new: Connection) -> None:
    """Copy every row into empty tables, and the numbers that rows have had.

    Raises DatabaseError where one is missing then.
    """
    for table in schema.metadata.sorted_tables:
        rows = old.execute(select(table).execution_options(yield_per=_PIECE))
        for piece in rows.mappings().partitions():
            new.execute(insert(table), [dict(row) for row in piece])
        count = select(func.count()).select_from(table)
        if old.execute(count).scalar_one() != new.execute(count).scalar_one():
            raise DatabaseError(f"not every row of {table.name} came over; nothing was changed: report this")
    target.write_last_numbers(new, source.last_numbers(old))


def _fill(source: Place, old: Connection, target: Place, number: str, new: Connection) -> None:
    copy_rows(source, old, target, new)
    upgrade.write_revision(new, MOVING + number)


def _put_in_force(target: Place) -> int:
    """Let nodes work with the target from now on; return how many rows it has."""
    opened = target.opened()
    try:
        with opened.translated(), opened.transaction(writing=True) as tx:
            upgrade.write_revision(tx, upgrade.revisions()[-1])
            counts = (select(func.count()).select_from(table) for table in schema.metadata.sorted_tables)
            rows = sum(int(tx.execute(count).scalar_one()) for count in counts)
            tx.commit()
    finally:
        opened.close()
    return rows
