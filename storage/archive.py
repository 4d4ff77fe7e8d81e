"""The files: received instances, rendered heatmaps and finished results, each under a name of our own.

A file appears whole or not at all: written beside, synced, renamed, directory synced. UIDs and other words
from the network never become paths; their hashes do.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import Final

from storage import privacy
from storage.database.sqlite.creation import synced
from storage.errors import Full, OutsideArchive

IDENTITIES: Final = "identities"
"""Folder of patients and studies as peers sent them."""
FOLDERS: Final = ("instances", "heatmaps", "results", IDENTITIES)
"""What holds kept files; ``incoming`` holds unfinished ones."""

INCOMING: Final = "incoming"
"""Folder of unfinished files."""
UNCLAIMED: Final = "unclaimed"
"""Folder of instances that the database does not know: it may have been put back to an earlier state."""

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, kw_only=True, slots=True)
class Swept:
    """How many files that no row names a start has found."""

    removed: int
    unclaimed: int


class Archive:
    """The file tree inside ``data_dir``, which is made where it is missing (for this user alone)."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.resolve()
        self.incoming = self.data_dir / INCOMING
        """Unfinished files; on the file system of the finished ones, so that a rename moves them."""
        self._synced_shelves: set[Path] = set()
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.incoming.mkdir(mode=0o700, exist_ok=True)
        for name in FOLDERS:
            (self.data_dir / name).mkdir(mode=0o700, exist_ok=True)
        synced(self.data_dir)
        privacy.close(self.data_dir, (INCOMING, UNCLAIMED, *FOLDERS))

    def keep(self, temporary: Path, *, uid: str, digest: str) -> str:
        """Make the file at ``temporary`` the instance ``uid`` with content ``digest``. Returns its name.

        Safe on the disk when this returns. The same again gives the same name. Raises Full, OSError.
        """
        relative = self._name("instances", key=uid, digest=digest, suffix=".dcm")
        with _room():
            synced(temporary)
            self._place(temporary, relative)
        return relative

    def keep_bytes(self, data: bytes, *, folder: str, key: str, suffix: str) -> str:
        """Keep ``data`` in one of `FOLDERS`. Returns its name, made of ``key`` and the content.

        Safe on the disk when this returns. The same again gives the same name. Raises Full, OSError.
        """
        if folder not in FOLDERS:
            raise ValueError(f"{folder!r} is none of the archive's folders {FOLDERS}")
        relative = self._name(folder, key=key, digest=hashlib.sha256(data).hexdigest(), suffix=suffix)
        with _room(), tempfile.NamedTemporaryFile(dir=self.incoming, delete=False) as file:
            temporary = Path(file.name)
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                self._place(temporary, relative)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        return relative

    def path(self, relative: str) -> Path:
        """Return where the file ``relative`` is. Raises OutsideArchive if that is not in the archive."""
        path = (self.data_dir / relative).resolve()
        if not any(path.is_relative_to(self.data_dir / folder) for folder in FOLDERS):
            raise OutsideArchive(f"{relative!r} is no name of a file of the archive")
        return path

    def holds(self, relative: str) -> bool:
        """Tell whether the file ``relative`` is there now.

        It is opened: a client of NFS asks the server then, and else answers from memory (nfs(5), "DATA AND
        METADATA COHERENCE").
        """
        try:
            os.close(os.open(self.path(relative), os.O_RDONLY))
        except FileNotFoundError:
            return False
        return True

    def remove(self, relative: str) -> None:
        """Remove the file ``relative``; one that is gone is fine."""
        self.path(relative).unlink(missing_ok=True)

    def clear_incoming(self, *, older_than: float = 0.0) -> int:
        """Remove what interrupted receptions left. Returns how many.

        It asks nobody: only at start, or what is ``older_than`` seconds that nobody takes for one file.
        """
        newest = time.time() - older_than if older_than else float("inf")
        removed = 0
        for path in self.incoming.iterdir():
            with contextlib.suppress(FileNotFoundError):  # whoever writes it has just finished
                if path.is_file() and path.stat().st_mtime < newest:
                    path.unlink()
                    removed += 1
        return removed

    def orphans(self, referenced: AbstractSet[str], ending: Callable[[], bool] = lambda: False) -> list[Path]:
        """Return the kept files that are not among ``referenced`` (`retention.referenced_files`).

        To list them takes minutes on a large archive: once ``ending``, those found so far are returned.
        """
        files = takewhile(lambda _: not ending(), self._kept_files())
        return [self.data_dir / file for file in files if file not in referenced]

    def sweep(self, orphans: Sequence[Path], last_known: Mapping[str, datetime]) -> Swept:
        """Put away ``orphans``. Only at start.

        Results can be made again: they are removed, and so are instances that were replaced or forgotten when
        a kill came. Any other may have been acknowledged, and the database put back from a backup since: it
        is moved to `UNCLAIMED`, where it stays until it is stored again.

        Parameters
        ----------
        orphans
            What `orphans` found.
        last_known
            When the database last learnt of an image (`retention.last_known`).
        """
        since = {stem: at for uid, at in last_known.items() for stem in _stems(uid)}
        unknown = {orphan for orphan in orphans if self._is_instance(orphan) and not _older(orphan, since)}
        if unknown:
            (self.data_dir / UNCLAIMED).mkdir(mode=0o700, exist_ok=True)
        for orphan in orphans:
            if orphan in unknown:
                orphan.replace(self.data_dir / UNCLAIMED / orphan.name)
            else:
                orphan.unlink()
        return Swept(removed=len(orphans) - len(unknown), unclaimed=len(unknown))

    def free_bytes(self) -> int:
        """Return how many bytes are free to this user where the archive is."""
        return shutil.disk_usage(self.data_dir).free

    def _is_instance(self, path: Path) -> bool:
        return path.is_relative_to(self.data_dir / FOLDERS[0])

    def _kept_files(self) -> Iterator[str]:
        """Return every file in `FOLDERS`, relative to the data directory; paths of text, there are many."""
        for folder in FOLDERS:
            for place, _, names in os.walk(self.data_dir / folder):
                shelf = os.path.relpath(place, self.data_dir)
                yield from (f"{shelf}/{name}" for name in names)

    def _name(self, folder: str, *, key: str, digest: str, suffix: str) -> str:
        stem = _stem(key)
        relative = f"{folder}/{stem[:2]}/{stem}-{digest[:16]}{suffix}"
        self.path(relative)
        return relative

    def _place(self, temporary: Path, relative: str) -> None:
        """Rename ``temporary``, already synced, to its name; it and the way to it are on the disk then."""
        target = self.path(relative)
        shelf = target.parent
        if shelf not in self._synced_shelves:
            # another process may have made it and not synced it yet: each syncs it before the first use
            shelf.mkdir(mode=0o700, exist_ok=True)
            synced(shelf.parent)
            self._synced_shelves.add(shelf)
        temporary.replace(target)
        synced(shelf)
        # the same has come again; if no row of it comes to be, the next start puts it away again
        (self.data_dir / UNCLAIMED / target.name).unlink(missing_ok=True)


def _stem(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _stems(uid: str) -> tuple[str, str]:
    """Return how names of files of the instance ``uid`` begin: whole, or its header alone."""
    return _stem(uid), _stem(f"{uid} header")


def _older(path: Path, since: Mapping[str, datetime]) -> bool:
    """Tell whether the database has learnt of the image after ``path`` was written: it is done with it."""
    at = since.get(path.stem.partition("-")[0])
    return at is not None and path.stat().st_mtime <= at.timestamp()


def unclaimed(data_dir: Path) -> int:
    """Count the instances that wait to be stored again."""
    folder = data_dir / UNCLAIMED
    return sum(path.is_file() for path in folder.iterdir()) if folder.is_dir() else 0


def unfinished(data_dir: Path) -> tuple[int, int]:
    """Count the files that come in now, or that an interrupted reception has left, and their bytes."""
    sizes: list[int] = []
    try:
        with os.scandir(data_dir / INCOMING) as files:
            for file in files:
                with contextlib.suppress(FileNotFoundError):  # it was kept meanwhile
                    sizes.append(file.stat().st_size)
    except (FileNotFoundError, NotADirectoryError):
        pass
    return len(sizes), sum(sizes)


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise Full("no room on the disk of the data directory: make some; stores are refused") from error
        raise
