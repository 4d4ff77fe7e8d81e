"""Brings a database to the schema of this program, with a backup before it touches one that is in use.

A new one is made by the migrations in SQLite, whose files have gone through them all, and from `schema`
elsewhere: the migrations until 0016 speak SQLite. Those after it run on each kind of database.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from storage.database import schema
from storage.errors import DatabaseError

SCRIPTS: Final = Path(__file__).parent / "migrations"
"""The migrations that this program ships."""

MOVED: Final = "moved-"
"""Begins what stands in the place of a revision where a database was moved away: then a number."""
MOVING: Final = "moving-"
"""The same of one that is made by a move which has not ended."""


def bring_up_to_date(
    tx: Connection, name: str, *, scripts: Path = SCRIPTS, before: Callable[[str], None]
) -> None:
    """Migrate the database of the write transaction ``tx`` to the newest revision, all or nothing.

    ``before`` is called with the newest revision before rows are migrated: to back them up. The transaction's
    lock keeps every other process from writing between backup and migration.

    Raises
    ------
    DatabaseError
        The database comes from a newer version of this program; it is left as it is.
    """
    known_revisions, revision = revisions(scripts), current(tx)
    newest = known_revisions[-1]
    if revision == newest:
        return
    # every command opens a database, few find an old one: Alembic takes longer to import than `status` runs
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.attributes["connection"] = tx
    if revision is not None:
        if revision not in known_revisions:
            raise unusable(name, revision, newest)
        before(newest)
    if revision is None and tx.dialect.name != "sqlite":
        _give_conditions(tx.dialect.name)
        schema.metadata.create_all(tx)
        command.stamp(config, "head")
    else:
        command.upgrade(config, "head")


def _give_conditions(dialect: str) -> None:
    """Let each partial index have its condition in ``dialect`` as well.

    `schema` names them for SQLite alone: a name of another dialect loads it, in every command.
    """
    for index in (index for table in schema.metadata.sorted_tables for index in table.indexes):
        if (condition := index.dialect_kwargs.get("sqlite_where")) is not None:
            index.dialect_kwargs[f"{dialect}_where"] = condition


def unusable(name: str, revision: str, newest: str) -> DatabaseError:
    """Return the error that says why a database of an unknown revision is not worked with."""
    if revision.startswith(MOVED):
        return DatabaseError(f"database {name} was moved: name its new place in [database] url")
    if revision.startswith(MOVING):
        return DatabaseError(
            f"the move to the database {name} did not end: run `move-database` again, as it was run before"
        )
    return DatabaseError(
        f"database {name} has schema {revision}, newer than the {newest} of this version of SecondRead: "
        "install the version that wrote it or a later one; it was left as it is"
    )


def revisions(scripts: Path = SCRIPTS) -> list[str]:
    """Return the revisions that this program knows, the oldest first, from the names of the migrations."""
    return sorted(script.name[1:5] for script in (scripts / "versions").glob("v*.py"))


def current(tx: Connection) -> str | None:
    """Return the revision that Alembic has written, or None where the database is new."""
    if not inspect(tx).has_table("alembic_version"):
        return None
    revision: str | None = tx.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision


def write_revision(tx: Connection, revision: str) -> None:
    """Write ``revision`` in the place where Alembic has written it."""
    tx.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
