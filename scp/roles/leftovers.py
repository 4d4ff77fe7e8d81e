"""What machines that have died leave behind: files that nobody finished or names, rows of the dead.

Where the files of others lie there, too, age decides: nothing takes a day from its first byte to its row, and
who begins anew writes a new file. A node that is alone knows when it has begun.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, Protocol, TypeVar

import structlog

from scp.housekeeping import HousekeepingTasks
from scp.roles.surroundings import Surroundings
from scp.schedule import Tick
from storage import machines
from storage.database.engine import Database
from storage.errors import StorageError
from storage.files.archive import Archive, KeptFile, Swept, without_claim
from storage.upkeep import retention

log = structlog.get_logger(__name__)

Row = TypeVar("Row")

OLD_SECONDS: Final = 86_400.0
SWEEP_SECONDS: Final = 6 * 3600.0
"""All files are listed: on a large archive that takes minutes."""
MACHINES_SECONDS: Final = 600.0
AHEAD_SECONDS: Final = 60.0
"""So far in the future no file is of now: a clock was ahead when it was written."""
LOOKED_AT: Final = 500
"""Files of which the database is asked at once."""
AT_A_TIME: Final = 100
"""Files in one transaction: images that come in wait for no more. Of each a bucket is asked three times."""


def ticks(place: Surroundings, ending: Callable[[], bool]) -> list[Tick]:
    """Return each task with the seconds between two calls of it; a sweep stops where it is ``ending``."""

    def forget_machines() -> None:
        with place.database.write() as tx:
            machines.forget_gone(tx, now=place.database.now())

    return [
        Tick(forget_machines, MACHINES_SECONDS),
        of_receptions(place),
        of_files(place, ending),
    ]


def of_receptions(place: Surroundings) -> Tick:
    """Return what removes the files that interrupted receptions left in this data directory."""
    return Tick(lambda: place.archive.clear_incoming(older_than=OLD_SECONDS), SWEEP_SECONDS)


class Place(Protocol):
    """Where files are, and the rows that name them."""

    @property
    def database(self) -> Database:
        """The rows."""

    @property
    def archive(self) -> Archive:
        """The files."""


def of_files(place: Place, ending: Callable[[], bool]) -> Tick:
    """Return what puts away old files that no row names."""

    def look() -> None:
        before = time.time() - OLD_SECONDS
        sweep(place, ending, is_left=lambda modified: modified < before)

    return Tick(look, SWEEP_SECONDS)


class FirstSweep:
    """Puts away once what a crash has left of files in a folder; listening does not wait for it.

    What is written from now on is nobody's leftover: the file system says when that is, and a clock that is
    set ends it. What a clock has dated ahead is one. Nothing is done after an end ``in_order``.
    """

    def __init__(self, tasks: HousekeepingTasks, ending: Callable[[], bool], *, in_order: bool) -> None:
        self._swept = in_order
        began = _file_time(tasks.archive.incoming)
        ended = threading.Event()

        def ends() -> bool:
            if ending() or not tasks.clock.believed():
                ended.set()  # once it was so not all are looked at, though a clock be believed again
            return ended.is_set()

        def is_left(modified: float) -> bool:
            return modified < began or modified > _file_time(tasks.archive.incoming) + AHEAD_SECONDS

        self._sweep = partial(sweep, tasks, ends, is_left=is_left)
        self._thread = threading.Thread(target=self._run, name="sweep", daemon=True)

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread.start()

    def end(self) -> bool:
        """Wait until it has ended; tell whether rows and files agree."""
        self._thread.join()
        return self._swept

    def _run(self) -> None:
        try:
            self._swept = self._swept or self._sweep()
        except (StorageError, OSError) as error:
            log.warning("files that nothing names stay until the next start", reason=str(error))


def _file_time(folder: Path) -> float:
    """Return the time that the file system has now, in seconds since 1970."""
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.fstat(file.fileno()).st_mtime


def sweep(place: Place, ending: Callable[[], bool], *, is_left: Callable[[float], bool]) -> bool:
    """Put away files that no row names; tell whether all were looked at.

    ``is_left`` tells it of a file by the time at which it was written, in seconds since 1970. No transaction
    is open while files are listed, and of the archive some hundred names are held at a time.
    """
    orphans: list[KeptFile] = []
    names = place.archive.names(ending)
    while piece := list(islice(names, LOOKED_AT)):
        with place.database.read() as tx:
            unnamed = retention.unnamed(tx, piece)
        orphans += _left(place.archive, unnamed, is_left)
    if ending():
        return False
    with place.database.read() as tx:
        unknown = without_claim(orphans, _until(ending, retention.last_known(tx)))
    removed = unclaimed = 0
    remaining = iter(orphans)
    try:
        while not ending() and (batch := list(islice(remaining, AT_A_TIME))):
            swept = _put_away(place, batch, unknown, is_left)
            removed, unclaimed = removed + swept.removed, unclaimed + swept.unclaimed
    finally:  # the next look finds them no more
        _tell(place, removed, unclaimed)
    return not ending()


def _tell(place: Place, removed: int, unclaimed: int) -> None:
    if removed:
        log.info("files that nothing names were removed", files=removed)
    if unclaimed:
        log.warning(
            "images are unclaimed: the database does not know them, as after a backup of it was put in "
            "its place, or a kill before the answer; send those files to this node again "
            "(docs/operating.md)",
            images=unclaimed,
            folder=place.archive.unclaimed,
        )


def _until(ending: Callable[[], bool], rows: Iterable[Row]) -> Iterator[Row]:
    """Give ``rows`` until ``ending``, which is asked now and then."""
    for number, row in enumerate(rows):
        if number % LOOKED_AT == 0 and ending():
            return
        yield row


def _put_away(
    place: Place, orphans: Sequence[KeptFile], unknown: AbstractSet[str], is_left: Callable[[float], bool]
) -> Swept:
    """Look again under the lock of who writes: nobody can come to need one of the files meanwhile."""
    with place.database.write() as tx:
        unnamed = retention.unnamed(tx, [orphan.name for orphan in orphans])
        return place.archive.sweep(_left(place.archive, unnamed, is_left), unknown)


def _left(archive: Archive, names: Iterable[str], is_left: Callable[[float], bool]) -> list[KeptFile]:
    times = {name: archive.modified(name) for name in names}
    return [
        KeptFile(name=name, modified=modified)
        for name, modified in times.items()
        if modified is not None and is_left(modified)
    ]
