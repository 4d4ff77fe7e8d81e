"""Everything that is needed to go on, in one file: written while the node runs, put back while it is stopped.

The database is copied first, as it was last committed, then the files that this copy names. Files never
change under their name, so the two fit; one that was replaced or forgotten meanwhile is left out and counted.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from storage.database.engine import Database
from storage.database.sqlite.backend import NAME, translated
from storage.database.sqlite.creation import back_up, synced
from storage.errors import DatabaseError
from storage.files.archive import FOLDERS
from storage.upkeep import retention

KEYS: Final = ("console.key",)
"""Files beside the database that are needed as well, where they are: pseudonyms stay the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BackedUp:
    """What a backup holds."""

    files: int
    """Of images and results: neither the database nor `KEYS`."""
    missing: int
    """Files that went while it was written: what named them is done with them."""


def write(data_dir: Path, target: Path, copy_rows: Callable[[Path], None] | None = None) -> BackedUp:
    """Write a backup of ``data_dir`` to ``target``, whole or not at all. Raises DatabaseError, OSError.

    ``copy_rows`` makes the copy of a database that is no file there, at the path that it is given.
    """
    unfinished = target.with_name(f"{target.name}.unfinished")
    with tempfile.TemporaryDirectory(dir=data_dir, prefix="backup-") as folder:
        copy = Path(folder) / NAME
        if copy_rows is None:
            with translated(data_dir / NAME):
                back_up(data_dir / NAME, copy)
        else:
            copy_rows(copy)
        database = Database.open_for_reading(Path(folder))
        try:
            with database.read() as tx:
                names = sorted(retention.referenced_files(tx))
        finally:
            database.close()
        try:
            with tarfile.open(unfinished, "w") as bundle:
                unfinished.chmod(0o600)
                missing = _add(bundle, data_dir, names)
                _add(bundle, data_dir, KEYS)
                # last, so that a restore that is cut off leaves no database without its files
                bundle.add(copy, NAME)
            synced(unfinished)
            unfinished.rename(target)
        finally:
            unfinished.unlink(missing_ok=True)
    synced(target.parent)
    return BackedUp(files=len(names) - missing, missing=missing)


@contextmanager
def opened(source: Path) -> Iterator[tarfile.TarFile]:
    """Open a backup for reading. Raises DatabaseError where it is none, or cut off; OSError."""
    try:
        bundle = tarfile.open(source)  # noqa: SIM115 -- closed below; what fails here is another thing than there
    except tarfile.TarError:
        raise DatabaseError(
            f"{source} is no backup, or is cut off: name a file that `backup` has written"
        ) from None
    with bundle:
        try:
            yield bundle
        except tarfile.TarError as error:
            raise DatabaseError(f"{source} is cut off or damaged ({error})") from error


def put_back(source: Path, data_dir: Path) -> int:
    """Put the backup ``source`` into ``data_dir``, which has no database. Returns how many files it held.

    They are counted as in `BackedUp`.

    Raises
    ------
    DatabaseError
        There is a database already, or ``source`` is no backup of ours, or not a whole one.
    OSError
        A file cannot be read or written.
    """
    if (data_dir / NAME).exists():
        raise DatabaseError(f"there is a database in {data_dir} already: move that directory away first")
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    count = 0
    with opened(source) as bundle:
        for member in bundle:
            _extract(bundle, member, data_dir)
            count += member.name not in (NAME, *KEYS)
    if not (data_dir / NAME).exists():
        raise DatabaseError(f"{source} holds no database: it is no backup, or is cut off")
    return count


def _add(bundle: tarfile.TarFile, data_dir: Path, names: Iterable[str]) -> int:
    """Add the files; return how many are gone."""
    missing = 0
    for name in names:
        try:
            bundle.add(data_dir / name, name)
        except FileNotFoundError:
            missing += 1
    return missing


def _extract(bundle: tarfile.TarFile, member: tarfile.TarInfo, data_dir: Path) -> None:
    """Write one file of a backup to its place. Raises DatabaseError where it has none."""
    parts = PurePosixPath(member.name).parts
    placed = member.name in (NAME, *KEYS) or (len(parts) > 1 and parts[0] in FOLDERS and ".." not in parts)
    content = bundle.extractfile(member) if member.isfile() and placed else None
    if content is None:
        raise DatabaseError(f"{member.name!r} does not belong into a backup: it was not written by `backup`")
    target = data_dir / member.name
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.unfinished")
    if member.name == NAME:  # the log of a database that was there would be taken for this one's
        for suffix in ("-wal", "-shm"):
            target.with_name(f"{NAME}{suffix}").unlink(missing_ok=True)
    with unfinished.open("wb") as file:
        unfinished.chmod(0o600)
        shutil.copyfileobj(content, file)
    synced(unfinished)
    unfinished.rename(target)
