"""Brings a database to the schema of this program, with a backup before it touches one that is in use."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from storage.database.connection import connect
from storage.database.creation import synced
from storage.errors import DatabaseError

SCRIPTS: Final = Path(__file__).parent / "migrations"
"""The migrations that this program ships."""


def bring_up_to_date(tx: Connection, file: Path, *, scripts: Path = SCRIPTS) -> None:
    """Migrate the database of the write transaction ``tx`` to the newest revision, all or nothing.

    The transaction's lock keeps every other process from writing between backup and migration.

    Raises
    ------
    DatabaseError
        The database comes from a newer version of this program; it is left as it is.
    """
    known_revisions, revision = revisions(scripts), _revision(tx)
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
            raise DatabaseError(
                f"database {file} has schema {revision}, newer than the {newest} of this version of "
                "SecondRead: install the version that wrote it or a later one; it was left as it is"
            )
        back_up(file, file.with_name(f"{file.stem}-before-{newest}.sqlite"))
    command.upgrade(config, "head")


def revisions(scripts: Path = SCRIPTS) -> list[str]:
    """Return the revisions that this program knows, the oldest first, from the names of the migrations."""
    return sorted(script.name[1:5] for script in (scripts / "versions").glob("v*.py"))


def _revision(tx: Connection) -> str | None:
    """Return the revision that Alembic has written, or None where the database is new."""
    if not inspect(tx).has_table("alembic_version"):
        return None
    revision: str | None = tx.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision


def back_up(file: Path, backup: Path) -> None:
    """Copy the database as it was last committed; the copy appears whole or not at all."""
    unfinished = backup.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    with (
        closing(connect(file)) as source,
        closing(sqlite3.connect(unfinished)) as target,
    ):
        source.backup(target)
    unfinished.chmod(0o600)
    synced(unfinished)
    unfinished.rename(backup)
    synced(backup.parent)
