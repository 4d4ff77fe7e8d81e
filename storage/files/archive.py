"""What every archive offers, wherever its files are, and how they are named.

A file appears whole or not at all, and never changes under its name. UIDs and other words from the network
never become names; their hashes do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

from storage.errors import OutsideArchive

INSTANCES: Final = "instances"
IDENTITIES: Final = "identities"
"""Folder of patients and studies as peers sent them."""
FOLDERS: Final = (INSTANCES, "heatmaps", "results", IDENTITIES)
"""What holds kept files; ``incoming`` holds unfinished ones."""
UNCLAIMED: Final = "unclaimed"
"""Folder of instances that the database does not know: it may have been put back to an earlier state."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptFile:
    """A file of the archive."""

    name: str
    modified: float
    """When it was written, in seconds since 1970; never earlier than it was."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Swept:
    """How many files that no row names were put away."""

    removed: int
    unclaimed: int


class Archive(Protocol):
    """Files under names of our own. What fails for now raises OSError, `FilesUnavailable` among them."""

    @property
    def data_dir(self) -> Path:
        """The data directory of this process."""

    @property
    def incoming(self) -> Path:
        """Folder of unfinished files, of this process or of all that share its data directory."""

    @property
    def unclaimed(self) -> str:
        """Where unclaimed instances are, in words for a person."""

    @property
    def is_on_disk(self) -> bool:
        """Whether the files are on the disk of the data directory: to remove some makes room there."""

    def keep(self, temporary: Path, *, uid: str, digest: str) -> str:
        """Make the file at ``temporary`` the instance ``uid`` with content ``digest``. Returns its name.

        Durable when this returns. The same again gives the same name. Raises Full, OSError.
        """

    def keep_bytes(self, data: bytes, *, folder: str, key: str, suffix: str) -> str:
        """Keep ``data`` in one of `FOLDERS`. Returns its name, made of ``key`` and the content.

        Durable when this returns. The same again gives the same name. Raises Full, OSError.
        """

    def require(self) -> None:
        """Raise FilesUnavailable where the server that has the files, if one has, cannot be used now."""

    def path(self, name: str) -> Path:
        """Return where the file ``name`` can be read on this machine, for some minutes at least.

        Raises OutsideArchive where that is no name of a file. One that is gone raises FileNotFoundError here
        or when it is opened.
        """

    def holds(self, name: str) -> bool:
        """Tell whether the file ``name`` is there now."""

    def modified(self, name: str) -> float | None:
        """Return when the file ``name`` was written, as `KeptFile.modified`; None where it is gone."""

    def remove(self, name: str) -> None:
        """Remove the file ``name``; one that is gone is fine."""

    def clear_incoming(self, *, older_than: float = 0.0) -> int:
        """Remove what interrupted receptions left. Returns how many.

        It asks nobody: only at start, or what is ``older_than`` seconds that nobody takes for one file.
        """

    def names(self, ending: Callable[[], bool] = lambda: False) -> Iterator[str]:
        """Give the name of every file, those of one shelf at a time, until ``ending``.

        On a large archive that takes minutes. Files that come and go meanwhile are given or not.
        """

    def sweep(self, orphans: Sequence[KeptFile], unknown: AbstractSet[str]) -> Swept:
        """Put away ``orphans``, which no row names and nobody can come to need meanwhile.

        Results can be made again: they are removed, and so are instances that were replaced or forgotten when
        a kill came. Any other may have been acknowledged, and the database put back from a backup since: it
        is moved to `UNCLAIMED`, where it stays until it is stored again. Those are among the ``unknown``
        (`without_claim`).
        """

    def free_bytes(self) -> int:
        """Return how many bytes are free to this user in the data directory, where images come in."""


def name(folder: str, *, key: str, digest: str, suffix: str) -> str:
    """Return the name of the file of ``key`` with the content ``digest``, in one of `FOLDERS`.

    Raises OutsideArchive where that would lead elsewhere.
    """
    if folder not in FOLDERS:
        raise ValueError(f"{folder!r} is none of the archive's folders {FOLDERS}")
    stem = stem_of(key)
    if "/" in digest:
        raise OutsideArchive(f"{digest!r} is no digest")
    return checked(f"{folder}/{stem[:2]}/{stem}-{digest[:16]}{suffix}")


def name_of_bytes(folder: str, data: bytes, *, key: str, suffix: str) -> str:
    """Return the name of the file of ``key`` that holds ``data``."""
    return name(folder, key=key, digest=hashlib.sha256(data).hexdigest(), suffix=suffix)


def has_digest(name: str, path: Path) -> bool:
    """Tell whether the file at ``path`` is what `name_of_bytes` has made ``name`` of. Raises OSError."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return PurePosixPath(name).stem.endswith(f"-{digest[:16]}")


def checked(name: str) -> str:
    """Return ``name``. Raises OutsideArchive where it leads out of `FOLDERS`."""
    path = PurePosixPath(name)
    if not path.parts or path.parts[0] not in FOLDERS or ".." in path.parts:
        raise OutsideArchive(f"{name!r} is no name of a file of the archive")
    return name


def stem_of(key: str) -> str:
    """Return how the name of every file of ``key`` begins."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def without_claim(orphans: Sequence[KeptFile], last_known: Iterable[tuple[str, datetime]]) -> set[str]:
    """Return the names of those ``orphans`` that a peer may have been promised: see `Archive.sweep`.

    ``last_known`` says when the database learnt of each image (`retention.last_known`).
    """
    images = [orphan for orphan in orphans if orphan.name.startswith(f"{INSTANCES}/")]
    stems = {_stem(image.name) for image in images}
    since: dict[str, datetime] = {}
    for uid, at in last_known if images else ():
        for stem in stems.intersection(_stems(uid)):
            since[stem] = max(at, since.get(stem, at))
    return {image.name for image in images if not _is_done_with(image, since.get(_stem(image.name)))}


def _stems(uid: str) -> tuple[str, str]:
    """Return how names of files of the instance ``uid`` begin: whole, or its header alone."""
    return stem_of(uid), stem_of(f"{uid} header")


def _stem(name: str) -> str:
    return PurePosixPath(name).stem.partition("-")[0]


def _is_done_with(file: KeptFile, at: datetime | None) -> bool:
    """Tell whether the database has learnt of the image after ``file`` was written."""
    return at is not None and file.modified <= at.timestamp()
