"""Brings a database to the schema of this program, with a backup before it touches one that is in use."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

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
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.attributes["connection"] = tx
    directory = ScriptDirectory.from_config(config)
    newest = directory.get_current_head()
    revision = MigrationContext.configure(tx).get_current_revision()
    if revision == newest:
        return
    if revision is not None:
        if revision not in {script.revision for script in directory.walk_revisions()}:
            raise DatabaseError(
                f"database {file} has schema {revision}, newer than the {newest} of this version of "
                "SecondRead: install the version that wrote it or a later one; it was left as it is"
            )
        back_up(file, file.with_name(f"{file.stem}-before-{newest}.sqlite"))
    command.upgrade(config, "head")


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
