"""Looks at a database without opening it for work: nothing is made, migrated or locked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from storage.database.sqlite import backend as sqlite
from storage.database.upgrade import SCRIPTS, revisions, unusable


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """What a look at the database has shown."""

    name: str
    """Its file, or where it is."""
    revision: str
    """Schema that it has."""
    newest: str
    """Schema that this program works with."""

    @property
    def current(self) -> bool:
        """Whether it needs no migration."""
        return self.revision == self.newest


def inspect(data_dir: Path, *, url: str | None = None, scripts: Path = SCRIPTS) -> Inspection | None:
    """Return what the database of ``data_dir``, or at ``url``, is; None where there is none yet.

    Raises
    ------
    DatabaseError
        It is damaged, of another program, out of reach, newer than this program, or missing although there
        are images.
    """
    state = sqlite.revision(data_dir) if url is None else _revision_at(url, data_dir)
    if state is None:
        return None
    name, revision = state
    known_revisions = revisions(scripts)
    newest = known_revisions[-1]
    if revision not in known_revisions:
        raise unusable(name, revision, newest)
    return Inspection(name=name, revision=revision, newest=newest)


def _revision_at(url: str, data_dir: Path) -> tuple[str, str] | None:
    # imported here: who has a file starts sooner without
    from storage.database.postgresql import backend as postgresql  # noqa: PLC0415

    return postgresql.revision(url, data_dir)
