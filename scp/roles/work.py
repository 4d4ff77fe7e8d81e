"""The role of who computes: workers alone, woken from whichever machine an image has come to."""

from __future__ import annotations

from collections.abc import Callable

from inference.network import manifest
from scp import product
from scp.auditing.trail import Trail
from scp.roles.bell import DELIVERIES, JOBS
from scp.roles.surroundings import Surroundings
from scp.working.pool import WorkerPool


class Work:
    """Claims jobs and does them. Satisfies `scp.roles.surroundings.Role`."""

    def __init__(self, place: Surroundings, _trail: Trail) -> None:
        """Raise ManifestError where the network is not what its manifest says."""
        manifest.verify(product.read_manifest(place.settings.model))
        self._workers = WorkerPool(
            settings=place.settings,
            database=place.database,
            finished=lambda: place.bell.ring(DELIVERIES),
            now=place.database.now,
            machine=place.presence.name,
        )
        self.followers: tuple[Callable[[], object], ...] = (self._workers.follow,)
        self.bell_handlers = {JOBS: self._workers.wake}

    def start(self) -> None:
        """Start the first worker."""
        self._workers.start()

    def obstacles(self) -> list[str]:
        """Return why no job is done now."""
        return self._workers.obstacles

    def stop(self, seconds: float) -> bool:
        """Let jobs under way end; tell whether none was cut off."""
        return self._workers.stop(seconds)
