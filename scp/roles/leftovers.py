"""What machines that have died leave behind: files that nobody finished or names, rows of the dead.

No start clears anything away here, since the files of others lie there, too. Age decides: nothing takes a
day from its first byte to its row, and who begins anew writes a new file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Final, Protocol

import structlog

from scp.roles.surroundings import Surroundings
from scp.schedule import Tick
from storage import machines
from storage.database.engine import Database
from storage.files.archive import Archive, KeptFile
from storage.upkeep import retention

log = structlog.get_logger(__name__)

OLD_SECONDS: Final = 86_400.0
SWEEP_SECONDS: Final = 6 * 3600.0
"""All files are listed: on a large archive that takes minutes."""
MACHINES_SECONDS: Final = 600.0
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
    return Tick(lambda: sweep(place, ending), SWEEP_SECONDS)


def sweep(place: Place, ending: Callable[[], bool], *, older_than: float = OLD_SECONDS) -> None:
    """Put away old files that no row names; no transaction is open while files are listed."""
    with place.database.read() as tx:
        referenced = retention.referenced_files(tx)
    orphans = [
        orphan for orphan in place.archive.orphans(referenced, ending) if _is_old(orphan.modified, older_than)
    ]
    if not orphans or ending():
        return
    with place.database.read() as tx:
        last_known = retention.last_known(tx)
    remaining = iter(orphans)
    while not ending() and (batch := list(islice(remaining, AT_A_TIME))):
        _put_away(place, batch, last_known, older_than)


def _put_away(
    place: Place, orphans: Sequence[KeptFile], last_known: Mapping[str, datetime], older_than: float
) -> None:
    """Look again under the lock of who writes: nobody can come to need one of the files meanwhile."""
    archive = place.archive
    with place.database.write() as tx:
        unnamed = retention.unnamed(tx, [orphan.name for orphan in orphans])
        times = {name: archive.modified(name) for name in unnamed}
        old = [
            KeptFile(name=name, modified=modified)
            for name, modified in times.items()
            if modified is not None and _is_old(modified, older_than)
        ]
        swept = archive.sweep(old, last_known)
    if swept.removed or swept.unclaimed:
        log.warning(
            "files that nothing names were put away", removed=swept.removed, unclaimed=swept.unclaimed
        )


def _is_old(modified: float, seconds: float) -> bool:
    return time.time() - modified > seconds
