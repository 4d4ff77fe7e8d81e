"""A backup in the place of a database that is in use: staged beside it, taken over at the next start.

Nothing is lost by it: the database that goes stays beside as a file of its own, and images that the backup
does not know wait in `UNCLAIMED`, with the name of who sent them, until they have come in again. A kill at
any moment leaves either all as it was, or a take-over that the next start ends.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from storage.database import inspection
from storage.database.sqlite import creation
from storage.database.sqlite.backend import NAME, translated
from storage.database.sqlite.connection import connect
from storage.database.sqlite.creation import synced
from storage.errors import DatabaseError
from storage.files.archive import UNCLAIMED
from storage.upkeep import backup, to_come

STAGED: Final = "restore"
"""Folder of a whole backup that the next start takes over."""
UNFINISHED: Final = f"{STAGED}.unfinished"
"""The same while it is written, or where that was cut off; the next command clears it away."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TakenOver:
    """What a take-over has done."""

    before: Path | None
    """Where the database is that went; None where there was none."""
    images: int
    """How many came after the backup, and are to come in again."""


def staged(data_dir: Path) -> bool:
    """Tell whether a backup waits for the next start."""
    return (data_dir / STAGED).is_dir()


def stage(source: Path, data_dir: Path, *, reserve: int) -> int:
    """Lay the backup ``source`` beside the database of ``data_dir``; return how many files it holds.

    Raises
    ------
    DatabaseError
        It is no backup, or a damaged one, or of a newer version; or another waits already; or it would leave
        less than ``reserve`` bytes on the disk.
    OSError
        A file cannot be read or written.
    """
    if staged(data_dir):
        raise DatabaseError(f"a backup waits in {data_dir / STAGED} already: start the node, or remove it")
    with backup.opened(source) as bundle:
        size = sum(member.size for member in bundle)
    if (short := size + reserve - shutil.disk_usage(data_dir).free) > 0:
        raise DatabaseError(f"{short // 1_000_000 + 1} MB more must be free in {data_dir}: make room")
    unfinished = data_dir / UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        files = backup.put_back(source, unfinished)
        inspection.inspect(unfinished)
        with translated(unfinished / NAME):
            creation.examine(unfinished / NAME, whole=True)
        _remove_logs(unfinished)
        unfinished.rename(data_dir / STAGED)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    synced(data_dir)
    return files


def take_over(data_dir: Path) -> TakenOver | None:
    """Put a staged backup in the place of the database; None where none is staged.

    Only under the node's lock, before the database is opened. Raises OSError.
    """
    folder = data_dir / STAGED  # not `UNFINISHED`: a command may be writing that at this moment
    if not folder.is_dir():
        return None
    move_files(folder, data_dir)
    before, new = None, folder / NAME
    if new.exists():
        if (data_dir / NAME).exists():
            before = place_beside(data_dir, new)
            _lay_aside(data_dir / NAME, before)
            set_images_aside(data_dir, before, new)
        _remove_logs(data_dir)
        new.replace(data_dir / NAME)
        synced(data_dir)
    shutil.rmtree(folder)
    return TakenOver(before=before, images=len(to_come.read(data_dir)))


def place_beside(data_dir: Path, new: Path) -> Path:
    """Return where the database goes whose place ``new`` takes: the same at every run of one take-over."""
    at = datetime.fromtimestamp(new.stat().st_mtime, UTC)
    return data_dir / f"secondread-before-restore-{at:%Y%m%dT%H%M%S}.sqlite"


def set_images_aside(data_dir: Path, before: Path, new: Path) -> None:
    """Let the images come in again that the database ``before`` knows and ``new`` does not."""
    _set_aside(data_dir, _senders(before, new))


def _remove_logs(folder: Path) -> None:
    """Remove what stands beside a database that is closed: the same names are those of another's log."""
    for suffix in ("-wal", "-shm"):
        (folder / f"{NAME}{suffix}").unlink(missing_ok=True)


def move_files(folder: Path, data_dir: Path) -> None:
    """Move all but the database to its place: a file's name says its content, so none there is another."""
    for place, _, names in os.walk(folder, onerror=_raised):
        target = data_dir / Path(place).relative_to(folder)
        files = [name for name in names if Path(place) != folder or not name.startswith(NAME)]
        if files:
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
            synced(target.parent)
        for name in files:
            (Path(place) / name).replace(target / name)
        if files:
            synced(target)


def _raised(error: OSError) -> None:
    """Let a folder that cannot be read end the walk: it would be taken for an empty one."""
    raise error


def _lay_aside(database: Path, target: Path) -> None:
    """Copy the database, whole or not at all; one that cannot be read any more as its bytes are."""
    if target.exists():
        return
    unfinished = target.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    try:
        with closing(connect(database, "rw")) as old, closing(sqlite3.connect(unfinished)) as copy:
            old.backup(copy)
    except sqlite3.Error:
        shutil.copyfile(database, unfinished)
        if (log := database.with_name(f"{database.name}-wal")).exists():
            shutil.copyfile(log, target.with_name(f"{target.name}-wal"))
    unfinished.chmod(0o600)
    synced(unfinished)
    unfinished.rename(target)
    synced(target.parent)


def _senders(before: Path, new: Path) -> dict[str, str]:
    """Return the files of images that the database ``before`` knows and ``new`` does not, with senders.

    Not those whose pixels were removed since: they are delivered, and nothing is left to analyse.
    """
    try:
        with closing(connect(before)) as old:
            query = (
                "SELECT file, source_ae FROM instances WHERE pixels_removed_at IS NULL ORDER BY received_at"
            )
            files = dict(old.execute(query).fetchall())
    except sqlite3.Error:
        return {}  # what stands in no row of the backup is unclaimed, as after any other loss
    with closing(sqlite3.connect(f"{new.absolute().as_uri()}?immutable=1", uri=True)) as backed_up:
        known_files = {file for (file,) in backed_up.execute("SELECT file FROM instances")}
    return {file: sender for file, sender in files.items() if file not in known_files}


def _set_aside(data_dir: Path, senders: Mapping[str, str]) -> None:
    """Write down who sent these files, then move them where no start removes them."""
    to_come.note(
        data_dir, to_come.read(data_dir) | {Path(file).name: sender for file, sender in senders.items()}
    )
    shelf = data_dir / UNCLAIMED
    if senders:
        shelf.mkdir(mode=0o700, exist_ok=True)
    for file in senders:
        if (data_dir / file).exists():
            (data_dir / file).replace(shelf / Path(file).name)
    if senders:
        synced(shelf)
        synced(data_dir)
