"""How often each task of time is done: by a node, by a process that listens, by the one that keeps house."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from scp.housekeeping import HousekeepingTasks
from scp.schedule import Tick

STUDIES_SECONDS: Final = 1
LEASES_SECONDS: Final = 15
RETENTION_SECONDS: Final = 600
CALIBRATION_SECONDS: Final = 600
DISK_SECONDS: Final = 20
DATABASE_SECONDS: Final = 3


def of_node(
    tasks: HousekeepingTasks,
    *,
    clean_associations: Callable[[], object],
    take_images_to_come: Callable[[], object],
) -> list[Tick]:
    """Return each task with the seconds between two calls of it.

    ``clean_associations`` cleans up after associations that ended without a word; ``take_images_to_come``
    lets images come in again after a restore.
    """
    return [
        *of_entrance(tasks, clean_associations=clean_associations),
        Tick(take_images_to_come, STUDIES_SECONDS),
        *of_upkeep(tasks),
    ]


def of_entrance(tasks: HousekeepingTasks, *, clean_associations: Callable[[], object]) -> list[Tick]:
    """Return what every process does that listens."""
    return [Tick(clean_associations, STUDIES_SECONDS), Tick(tasks.watch_database, DATABASE_SECONDS)]


def of_upkeep(tasks: HousekeepingTasks) -> list[Tick]:
    """Return what one process does for all."""
    return [
        Tick(tasks.complete_studies, STUDIES_SECONDS),
        Tick(tasks.repair_times, LEASES_SECONDS),
        Tick(tasks.return_expired_leases, LEASES_SECONDS),
        Tick(tasks.calibrate_scanners, CALIBRATION_SECONDS),
        Tick(tasks.remove_old_studies, RETENTION_SECONDS),
        Tick(tasks.free_disk_space, DISK_SECONDS),
    ]
