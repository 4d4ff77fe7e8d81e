"""The archive inside the data directory: written beside, synced, renamed, directory synced."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from storage import privacy
from storage.database.sqlite.creation import synced
from storage.errors import OutsideArchive
from storage.files import archive, local
from storage.files.archive import FOLDERS, INSTANCES, UNCLAIMED, KeptFile, Swept


class FolderArchive:
    """The file tree inside ``data_dir``, which is made where it is missing (for this user alone).

    Satisfies `storage.files.archive.Archive`.
    """

    is_on_disk = True

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.resolve()
        self.incoming = self.data_dir / local.INCOMING
        """Unfinished files; on the file system of the finished ones, so that a rename moves them."""
        self.unclaimed = str(self.data_dir / UNCLAIMED)
        self._synced_shelves: set[Path] = set()
        local.make_folders(self.data_dir, (local.INCOMING, *FOLDERS))
        privacy.close(self.data_dir, (UNCLAIMED,))

    def keep(self, temporary: Path, *, uid: str, digest: str) -> str:
        """Make the file at ``temporary`` an instance, synced to the disk."""
        name = archive.name(INSTANCES, key=uid, digest=digest, suffix=".dcm")
        with local.room():
            synced(temporary)
            self._place(temporary, name)
        return name

    def keep_bytes(self, data: bytes, *, folder: str, key: str, suffix: str) -> str:
        """Keep ``data``, synced to the disk."""
        name = archive.name_of_bytes(folder, data, key=key, suffix=suffix)
        with local.room(), tempfile.NamedTemporaryFile(dir=self.incoming, delete=False) as file:
            temporary = Path(file.name)
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                self._place(temporary, name)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        return name

    def require(self) -> None:
        """Ask nobody: the files are here."""

    def path(self, name: str) -> Path:
        """Return where the file ``name`` is. Raises OutsideArchive if that is not in the archive."""
        path = (self.data_dir / archive.checked(name)).resolve()
        if not any(path.is_relative_to(self.data_dir / folder) for folder in FOLDERS):
            raise OutsideArchive(f"{name!r} is no name of a file of the archive")
        return path

    def holds(self, name: str) -> bool:
        """Tell whether the file ``name`` is there now.

        It is opened: a client of NFS asks the server then, and else answers from memory (nfs(5), "DATA AND
        METADATA COHERENCE").
        """
        try:
            os.close(os.open(self.path(name), os.O_RDONLY))
        except FileNotFoundError:
            return False
        return True

    def modified(self, name: str) -> float | None:
        """Return when the file ``name`` was written; None where it is gone."""
        try:
            return self.path(name).stat().st_mtime
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        """Remove the file ``name``; one that is gone is fine."""
        self.path(name).unlink(missing_ok=True)

    def clear_incoming(self, *, older_than: float = 0.0) -> int:
        """Remove what interrupted receptions left, or what of it is ``older_than`` seconds."""
        return local.clear(self.incoming, older_than)

    def names(self, ending: Callable[[], bool] = lambda: False) -> Iterator[str]:
        """Give the name of every file; text, not paths, there are many."""
        for folder in FOLDERS:
            for place, _, names in os.walk(self.data_dir / folder):
                if ending():
                    return
                shelf = os.path.relpath(place, self.data_dir)
                yield from (f"{shelf}/{name}" for name in names)

    def sweep(self, orphans: Sequence[KeptFile], unknown: AbstractSet[str]) -> Swept:
        """Remove ``orphans``, or move them to `UNCLAIMED`; one that a job writes again just now stays."""
        places = {False: self.incoming, True: self.data_dir / UNCLAIMED}
        numbers = {False: 0, True: 0}
        for orphan in orphans:
            is_unclaimed = orphan.name in unknown
            places[is_unclaimed].mkdir(mode=0o700, exist_ok=True)
            path = self.path(orphan.name)
            aside = places[is_unclaimed] / path.name
            try:
                path.rename(aside)
            except FileNotFoundError:  # who needed it no more has removed it just now
                continue
            if aside.stat().st_mtime != orphan.modified:
                aside.rename(path)
                continue
            if not is_unclaimed:
                aside.unlink()
            numbers[is_unclaimed] += 1
        return Swept(removed=numbers[False], unclaimed=numbers[True])

    def free_bytes(self) -> int:
        """Return how many bytes are free to this user where the archive is."""
        return local.free_bytes(self.data_dir)

    def _place(self, temporary: Path, name: str) -> None:
        """Rename ``temporary``, already synced, to its name; it and the way to it are on the disk then."""
        target = self.path(name)
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


def unclaimed(data_dir: Path) -> int:
    """Count the instances that wait to be stored again."""
    folder = data_dir / UNCLAIMED
    return sum(path.is_file() for path in folder.iterdir()) if folder.is_dir() else 0
