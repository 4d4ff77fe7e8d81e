"""Column types of our own: instants that cannot be mistaken, lists, checked words. A row as its fields."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, Connection, DateTime, Dialect, Enum, Row, Select, String, Text, select
from sqlalchemy.types import TypeDecorator


class Instant(TypeDecorator[datetime]):
    """An aware instant; kept as UTC, given back as UTC.

    SQLite keeps it as text of one width, so that text order is time order.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return ``value`` in UTC. Raises ValueError for a naive one: nobody knows when that is."""
        if value is None:
            return None
        if value.utcoffset() is None:
            raise ValueError(f"a naive datetime cannot be kept: {value.isoformat()}")
        in_utc = value.astimezone(UTC)
        return in_utc.replace(tzinfo=None) if dialect.name == "sqlite" else in_utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return what was kept, aware."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Texts(TypeDecorator[tuple[str, ...]]):
    """A few texts in their order; kept as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return ``value`` as a JSON array."""
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...] | None:  # noqa: ARG002
        """Return what was kept."""
        return None if value is None else tuple(json.loads(value))


class Numbers(TypeDecorator[tuple[float, ...]]):
    """Many numbers in their order; kept as JSON, to the last digit."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[float, ...] | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return ``value`` as a JSON array."""
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[float, ...] | None:  # noqa: ARG002
        """Return what was kept."""
        return None if value is None else tuple(map(float, json.loads(value)))


def characters(length: int) -> String:
    """Return a text column type of at most ``length``, in the order of its bytes in every database.

    The order of PostgreSQL is else that of a language, another one on each server.
    """
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def words(kind: type[StrEnum], name: str) -> Enum:
    """Return a text column type for the values of ``kind`` alone, restated as a CHECK called ``name``."""
    return Enum(
        kind,
        name=name,
        native_enum=False,
        create_constraint=True,
        length=16,
        values_callable=lambda members: [member.value for member in members],
    )


def distinct(tx: Connection, *columns: Column[str]) -> list[Any]:
    """Return each combination of values of ``columns`` once, in order; with more than one, as rows.

    An index that begins with them is entered once for each: the many rows between are not read.
    """
    rows: list[Any] = []
    query: Any = select(*columns).order_by(*columns).limit(1)
    row: Any = tx.execute(query).first()
    while row is not None:
        rows.append(row if len(columns) > 1 else row[0])
        row = _next(tx, query, columns, row)
    return rows


def _next(
    tx: Connection, query: Select[Any], columns: Sequence[Column[str]], row: Row[Any]
) -> Row[Any] | None:
    """Return the combination after ``row``: other in its last column, else in the one before, and so on.

    Of a comparison of rows, ``(a, b) > (?, ?)``, SQLite takes the first column alone to enter an index, and
    reads all that begin with it.
    """
    for place in reversed(range(len(columns))):
        alike = [column == value for column, value in zip(columns[:place], row, strict=False)]
        after = tx.execute(query.where(*alike, columns[place] > row[place])).first()
        if after is not None:
            return after
    return None


def fields(row: Row[Any]) -> dict[str, Any]:
    """Return ``row`` as keyword arguments for the record whose fields are its columns."""
    return dict(row._mapping)  # noqa: SLF001 - public API of SQLAlchemy; the underscore avoids column names
