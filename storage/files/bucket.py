"""The archive in a bucket of an S3-compatible server: nothing but that and the database is shared.

Success means that the server has answered: what is on a disk then is the server's to say. Files come in on
the disk of this machine and stay there as copies (`storage.files.copies`).
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path, PurePosixPath

from storage.errors import BucketError, FilesUnavailable
from storage.files import archive, local
from storage.files.archive import FOLDERS, INSTANCES, UNCLAIMED, KeptFile, Swept
from storage.files.client import ANSWER_SECONDS, LOOK_SECONDS, Client, Place
from storage.files.copies import COPIES, LocalCopies


class BucketArchive:
    """The files at ``place``; copies of at most ``copies_bytes`` in ``data_dir``, made where it is missing.

    Copies go, too, where less than ``free_bytes`` are left on the disk.

    Satisfies `storage.files.archive.Archive`. Raises BucketError where boto3 is not installed.
    """

    is_on_disk = False

    def __init__(
        self,
        data_dir: Path,
        place: Place,
        *,
        copies_bytes: int,
        free_bytes: int = 0,
        credentials: Callable[[], tuple[str, str]] | None = None,
        only_asked: bool = False,
    ) -> None:
        """``credentials`` are those of `Client`; where it is ``only_asked`` nothing is made on the disk.

        Nor is its server waited for as long.
        """
        self.data_dir = data_dir.resolve()
        self.incoming = self.data_dir / local.INCOMING
        self.unclaimed = f"{place.url}/{UNCLAIMED}"
        seconds = LOOK_SECONDS if only_asked else ANSWER_SECONDS
        self._client = Client(place, credentials, answer_seconds=seconds)
        self._copies = LocalCopies(self.data_dir / COPIES, most_bytes=copies_bytes, free_bytes=free_bytes)
        if not only_asked:
            local.make_folders(self.data_dir, (local.INCOMING, COPIES))

    def look_after_copies(self) -> None:
        """Remove copies that nobody uses or that the disk has no room for, until the process ends."""
        self._copies.look_after()

    def check(self) -> None:
        """Raise BucketError where an administrator has to mend something, FilesUnavailable where not now."""
        if any(path.is_file() for path in (self.data_dir / INSTANCES).rglob("*")):
            raise BucketError(
                f"{self.data_dir / INSTANCES} holds images, but [files] url names a bucket: copy the folders "
                f"{', '.join(FOLDERS)} there and move them away (docs/operating.md)"
            )
        self._client.check()

    def probe(self) -> None:
        """Raise what `check` raises where no file can be written, read and removed."""
        self._client.probe()

    def holds_images(self) -> bool:
        """Tell whether there is an image: then its database cannot be a new one."""
        return next(self._client.listed(INSTANCES), None) is not None

    def count_unclaimed(self) -> int:
        """Count the instances that wait to be stored again."""
        return sum(1 for _ in self._client.listed(UNCLAIMED))

    def keep(self, temporary: Path, *, uid: str, digest: str) -> str:
        """Make the file at ``temporary`` an instance, which the server has then."""
        name = archive.name(INSTANCES, key=uid, digest=digest, suffix=".dcm")
        # one that comes again stays as old as it is: else it would be younger than what is known of it
        if self._client.size(name) != temporary.stat().st_size:
            self._client.store(name, temporary)
        # the same has come again; if no row of it comes to be, the next sweep puts it away again
        self._client.remove(_unclaimed_name(name))
        with suppress(OSError):  # without a copy it is fetched when it is read
            self._copies.add(name, temporary.replace)
        return name

    def keep_bytes(self, data: bytes, *, folder: str, key: str, suffix: str) -> str:
        """Keep ``data``, which the server has then."""
        name = archive.name_of_bytes(folder, data, key=key, suffix=suffix)
        if folder != INSTANCES or self._client.size(name) != len(data):
            self._client.store(name, data)
        if folder == INSTANCES:
            self._client.remove(_unclaimed_name(name))
        with suppress(OSError):
            self._copies.add(name, lambda path: path.write_bytes(data))
        return name

    def path(self, name: str) -> Path:
        """Return where a copy of the file ``name`` is, which stays there for some minutes.

        Raises OutsideArchive, FileNotFoundError where there is no such file, FilesUnavailable, OSError.
        """
        archive.checked(name)
        copy = self._copies.find(name)
        return copy or self._copies.add(name, lambda path: self._fetch(name, path))

    def holds(self, name: str) -> bool:
        """Tell whether the server has the file ``name`` now."""
        return self.modified(name) is not None

    def modified(self, name: str) -> float | None:
        """Return when the file ``name`` was written, at the latest; None where it is gone."""
        return self._client.modified(archive.checked(name))

    def remove(self, name: str) -> None:
        """Remove the file ``name``; one that is gone is fine. Copies of other machines go in time."""
        self._client.remove(archive.checked(name))
        self._copies.remove(name)

    def clear_incoming(self, *, older_than: float = 0.0) -> int:
        """Remove what interrupted receptions left here, or what of it is ``older_than`` seconds."""
        return local.clear(self.incoming, older_than)

    def names(self, ending: Callable[[], bool] = lambda: False) -> Iterator[str]:
        """Give the name of every file, as the server lists them."""
        for folder in FOLDERS:
            if ending():
                return
            yield from (file.name for file in self._client.listed(folder, ending))

    def sweep(self, orphans: Sequence[KeptFile], unknown: AbstractSet[str]) -> Swept:
        """Remove ``orphans``, or move them to `UNCLAIMED`."""
        unclaimed = [orphan.name for orphan in orphans if orphan.name in unknown]
        for name in unclaimed:
            self._client.copy(name, _unclaimed_name(name))
        for orphan in orphans:
            self.remove(orphan.name)
        return Swept(removed=len(orphans) - len(unclaimed), unclaimed=len(unclaimed))

    def free_bytes(self) -> int:
        """Return how many bytes are free on this machine, where images come in."""
        return local.free_bytes(self.data_dir)

    def _fetch(self, name: str, path: Path) -> None:
        self._client.fetch(name, path)
        if not name.startswith(f"{INSTANCES}/") and not archive.has_digest(name, path):
            raise FilesUnavailable(errno.EIO, f"{name} did not come as it was kept: see the bucket's server")

    def require(self) -> None:
        """Raise FilesUnavailable where the server cannot be used now."""
        self._client.require()


def _unclaimed_name(name: str) -> str:
    return f"{UNCLAIMED}/{PurePosixPath(name).name}"
