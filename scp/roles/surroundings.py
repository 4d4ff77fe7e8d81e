"""What every role finds: settings, database, files, the others. And what each role has to offer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from scp.auditing.trail import Trail
from scp.configuration.settings import Settings
from scp.housekeeping import HousekeepingTasks
from scp.roles.bell import JOBS, Bell
from scp.roles.presence import Presence
from scp.schedule import ClockWatch
from storage import machines
from storage.database.engine import Database
from storage.files.archive import Archive


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """Where a process works."""

    settings: Settings
    database: Database
    archive: Archive
    presence: Presence
    bell: Bell

    def tasks(self, trail: Trail) -> HousekeepingTasks:
        """Return the tasks of housekeeping as they are where there are several machines."""
        return HousekeepingTasks(
            settings=self.settings,
            database=self.database,
            archive=self.archive,
            senders=self._busy,
            wake_worker=lambda: self.bell.ring(JOBS),
            now=self.database.now,
            trail=trail,
            clock=ClockWatch.of(self.database.now),
            living=self._living,
        )

    def _busy(self) -> frozenset[str]:
        with self.database.read() as tx:
            return machines.busy(tx, now=self.database.now())

    def _living(self) -> frozenset[str]:
        with self.database.read() as tx:
            return machines.living(tx, now=self.database.now())


class Role(Protocol):
    """What a process with a role does. `start`, and `stop` in the end."""

    @property
    def followers(self) -> Sequence[Callable[[], object]]:
        """What is called once settings were read again."""

    @property
    def bell_handlers(self) -> Mapping[str, Callable[[], None]]:
        """What is done when a channel of the bell is called."""

    def start(self) -> None:
        """Begin. Raises StartError."""

    def obstacles(self) -> list[str]:
        """Return why its work is not done now."""

    def stop(self, seconds: float) -> bool:
        """End within ``seconds``; tell whether nothing was cut off."""
