"""Looks at a database without opening it for work: nothing is made, migrated or locked."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from storage.database import creation
from storage.database.connection import connect
from storage.database.engine import NAME, translated
from storage.database.upgrade import SCRIPTS, revisions
from storage.errors import DatabaseError


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """What a look at the database has shown."""

    file: Path
    revision: str
    """Schema that the file has."""
    newest: str
    """Schema that this program works with."""

    @property
    def current(self) -> bool:
        """Whether the file needs no migration."""
        return self.revision == self.newest


def inspect(data_dir: Path, *, scripts: Path = SCRIPTS) -> Inspection | None:
    """Return what the database in ``data_dir`` is, or None where there is none yet.

    Raises
    ------
    DatabaseError
        It is damaged, of another program, newer than this program, or missing although there are images.
    """
    file = data_dir / NAME
    creation.refuse_silent_loss(file)
    if not file.exists():
        return None
    known_revisions = revisions(scripts)
    newest = known_revisions[-1]
    with translated(file):
        creation.examine(file)
        revision = _revision(file)
    if revision not in known_revisions:
        raise DatabaseError(
            f"database {file} has schema {revision}, newer than the {newest} of this version of SecondRead: "
            "install the version that wrote it or a later one"
        )
    return Inspection(file=file, revision=revision, newest=newest)


def _revision(file: Path) -> str:
    with closing(connect(file)) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else ""
