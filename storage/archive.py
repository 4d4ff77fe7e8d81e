"""The files: received instances, rendered heatmaps and finished results, each under a name of our own.

A file appears whole or not at all: written beside, synced, renamed, directory synced. UIDs and other words
from the network never become paths; their hashes do.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from storage.creation import synced
from storage.errors import Full, OutsideArchive

FOLDERS: Final = ("instances", "heatmaps", "results")
"""What holds kept files; ``incoming`` holds unfinished ones."""

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)


class Archive:
    """The file tree inside ``data_dir``, which is made where it is missing (for this user alone)."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.resolve()
        self.incoming = self.data_dir / "incoming"
        """Unfinished files; on the file system of the finished ones, so that a rename moves them."""
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.incoming.mkdir(mode=0o700, exist_ok=True)
        for name in FOLDERS:
            _make_shelves(self.data_dir / name)

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

    def remove(self, relative: str) -> None:
        """Remove the file ``relative``; one that is gone is fine."""
        self.path(relative).unlink(missing_ok=True)

    def clear_incoming(self) -> int:
        """Remove what interrupted receptions left. Only at start: it asks nobody. Returns how many."""
        left = [one for one in self.incoming.iterdir() if one.is_file()]
        for one in left:
            one.unlink()
        return len(left)

    def sweep(self, referenced: AbstractSet[str]) -> int:
        """Remove kept files that are not among ``referenced`` (`retention.referenced_files`). Only at start.

        They are what a kill leaves between file and row. Returns how many.
        """
        orphans = [one for one in self._kept() if str(one.relative_to(self.data_dir)) not in referenced]
        for one in orphans:
            one.unlink()
        return len(orphans)

    def free_bytes(self) -> int:
        """Return how many bytes are free to this user where the archive is."""
        return shutil.disk_usage(self.data_dir).free

    def _kept(self) -> Iterator[Path]:
        for folder in FOLDERS:
            yield from (one for one in (self.data_dir / folder).rglob("*") if one.is_file())

    def _name(self, folder: str, *, key: str, digest: str, suffix: str) -> str:
        name = hashlib.sha256(key.encode()).hexdigest()
        relative = f"{folder}/{name[:2]}/{name[:32]}-{digest[:16]}{suffix}"
        self.path(relative)
        return relative

    def _place(self, temporary: Path, relative: str) -> None:
        """Rename ``temporary``, already synced, to its name; it and the way to it are on the disk then."""
        target = self.path(relative)
        temporary.replace(target)
        synced(target.parent)


def _make_shelves(folder: Path) -> None:
    """Make the 256 directories of ``folder`` now: made on demand, one could be used before it is synced."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for number in range(256):
        (folder / f"{number:02x}").mkdir(mode=0o700, exist_ok=True)
    synced(folder)


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise Full("no room on the disk of the data directory: make some; stores are refused") from error
        raise
