"""The history of a node that has kept many images: one study, copied row by row, some hours apart.

The study is written by the storage room's own functions. Its copies are made inside the database, which takes
a minute for a million images. Their files are not made.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Column, Connection, Integer, Table, create_engine, text

from storage.database import schema
from storage.database.columns import Instant
from storage.database.engine import Database
from storage.database.sqlite.backend import NAME
from tests.unit.storage.making import Hand, breast

IMAGES: Final = 4
"""In a study."""
APART: Final = timedelta(hours=12)
PATIENT: Final = "patient_digest"
WORDS: Final = {"sop_class_uid", "alternative_class_uid", "transfer_syntax_uid", "sr_sop_class_uid"}
"""Columns of UIDs that stand for a kind of thing, not for one thing."""
NUMBERS: Final = {"id", "report_id", "delivery_id"}


@dataclass(frozen=True)
class Dialect:
    """How one database says what the copies differ in."""

    studies: str
    """A table ``study`` of so many numbers ``n``."""
    scattered: str
    """Eight hexadecimal digits, others for each ``n``, in no order."""
    folder: str
    rest: str
    """A file's name until its first "/", and after it."""
    shelf: str
    earlier: Callable[[str, int], str]
    """A time so many hours times ``n`` earlier."""


SQLITE: Final = Dialect(
    studies="WITH RECURSIVE study (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM study WHERE n < {})",
    scattered="printf('%08x', n * 2654435761 % 4294967296)",
    folder="substr({0}, 1, instr({0}, '/') - 1)",
    rest="substr({0}, instr({0}, '/') + 1)",
    shelf="printf('%02x', n % 256)",
    earlier=lambda name, hours: (
        f"strftime('%Y-%m-%d %H:%M:%f', {name}, '-' || (n * {hours}) || ' hours') || '000'"
    ),
)
POSTGRESQL: Final = Dialect(
    studies="WITH study (n) AS (SELECT generate_series(1, {}))",
    scattered="lpad(to_hex(n * 2654435761 % 4294967296), 8, '0')",
    folder="split_part({0}, '/', 1)",
    rest="substr({0}, strpos({0}, '/') + 1)",
    shelf="lpad(to_hex(n % 256), 2, '0')",
    earlier=lambda name, hours: f"{name} - n * {hours} * interval '1 hour'",
)


def copied(column: Column[Any], dialect: Dialect) -> str:
    """Return the expression for a column of study ``n`` of the copies, made from its ``original``."""
    name = f'"{column.name}"'
    if column.type is schema.UID and column.name not in WORDS:
        return f"{name} || '.' || n"
    if column.name == PATIENT:
        return f"{dialect.scattered} || '{'0' * 56}'"
    if column.type is schema.FILE:
        folder, rest = dialect.folder.format(name), dialect.rest.format(name)
        return f"{folder} || '/' || {dialect.shelf} || '/' || n || '-' || replace({rest}, '/', '-')"
    if column.name in NUMBERS and isinstance(column.type, Integer):
        return f"{name} + 100 * n"
    if isinstance(column.type, Instant):
        return dialect.earlier(name, APART // timedelta(hours=1))
    return name


def copies(table: Table, studies: int, dialect: Dialect) -> list[str]:
    """Return the statements that copy a table's rows of the one study until there are so many."""
    names = ",".join(f'"{column.name}"' for column in table.columns)
    values = ",".join(copied(column, dialect) for column in table.columns)
    numbers = dialect.studies.format(studies - 1)
    return [
        f"CREATE TEMP TABLE original AS SELECT * FROM {table.name}",  # noqa: S608 - names of the schema
        f"INSERT INTO {table.name} ({names}) {numbers} SELECT {values} FROM study CROSS JOIN original",  # noqa: S608
        "DROP TABLE original",
    ]


def make_history(data_dir: Path, images: int, now: datetime, url: str | None = None) -> None:
    """Write the history of so many images, all of it delivered an hour before ``now``, without its files.

    In the file of ``data_dir``, or in the empty database at ``url``, as a user who may do everything there.
    """
    with contextlib.closing(Database.open(data_dir, url=url)) as database:
        hand = Hand(database, now=now - APART)
        hand.answer_study("1.2.9.2", "1.2.9.3", document="1.2.9.1", breasts=[breast(0.2), breast(0.4, "L")])
        hand.send_all()
    studies = images // IMAGES
    if url is None:
        _copy_in_file(data_dir / NAME, studies)
    else:
        _copy_at_server(url, studies)


def _tables() -> list[Table]:
    return [table for table in schema.metadata.sorted_tables if table is not schema.tallies]


def _copy_in_file(file: Path, studies: int) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-500000"):
            connection.execute(f"PRAGMA {pragma}").close()
        indices = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        ).fetchall()
        for name, _ in indices:
            connection.execute(f"DROP INDEX {name}")
        for table in _tables():
            for statement in copies(table, studies, SQLITE):
                connection.execute(statement)
        for _, statement in indices:
            connection.execute(statement)
        connection.execute("UPDATE tallies SET number = number * ?", (studies,))
        connection.commit()


def _copy_at_server(url: str, studies: int) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        # rows name each other as those of the one study do: nobody has to look
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        for table in _tables():
            for statement in copies(table, studies, POSTGRESQL):
                connection.execute(text(statement))
        connection.execute(text("UPDATE tallies SET number = number * :studies"), {"studies": studies})
        for name in schema.numbered():
            _go_on_after_last(connection, name)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))  # as the server does by itself within a minute
    engine.dispose()


def _go_on_after_last(connection: Connection, name: str) -> None:
    connection.execute(
        text(f"SELECT setval('{name}_id_seq', (SELECT max(id) FROM {name})) FROM {name} LIMIT 1")  # noqa: S608
    )
