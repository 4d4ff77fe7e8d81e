"""The role of who listens: from a connection to a committed row, C-STORE and STOW-RS."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from scp import schedule, ticks
from scp.auditing.trail import Trail
from scp.delivering import assembly
from scp.receiving import store
from scp.receiving.admission import Admission
from scp.receiving.calls import CallCounts
from scp.receiving.listener import Listener
from scp.receiving.receptions import Receptions
from scp.receiving.refusals import Refusals
from scp.receiving.server import Server
from scp.receiving.sharing.processes import ReceivingProcesses
from scp.roles import entrances, leftovers
from scp.roles.bell import JOBS
from scp.roles.surroundings import Surroundings

if TYPE_CHECKING:
    from scp.web.server import WebServer

log = structlog.get_logger(__name__)


class Receive:
    """Listens. Satisfies `scp.roles.surroundings.Role`."""

    def __init__(self, place: Surroundings, trail: Trail) -> None:
        settings, database = place.settings, place.database
        self._place = place
        self._admission = Admission(settings, changed=place.presence.tell_if_possible)
        place.presence.busy = self._admission.calling_titles
        receiver = store.receiver(
            settings, database, place.archive, now=database.now, arrived=lambda: place.bell.ring(JOBS)
        )
        self._tasks = place.tasks(trail)
        self._processes = ReceivingProcesses(
            settings=settings,
            admission=self._admission,
            calls=CallCounts(database=database, now=database.now),
            arrived=lambda: place.bell.ring(JOBS),
            association_ended=self._tasks.complete_studies,
        )
        self._listener = Listener(
            settings=settings,
            receiver=receiver,
            admission=self._admission,
            association_ended=self._tasks.complete_studies,
            refusals=Refusals(database=database, now=database.now, settings=settings),
            calls=self._processes.calls,
            trail=trail,
            receptions=Receptions(trail=trail),
            more_handlers=assembly.commitment(settings, database, place.archive).handlers,
            hand_over=self._processes.hand_over,
        )
        self.followers: tuple[Callable[[], object], ...] = (self._processes.follow,)
        self.bell_handlers: dict[str, Callable[[], None]] = {}
        self._servers: dict[str, Server] = {}
        self._web: WebServer | None = None
        self._end_ticks: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Open the ports. Raises StartError."""
        self._web = entrances.listen_web(self._listener)
        self._servers = entrances.listen(self._listener)
        self._processes.start()
        entrance = ticks.of_entrance(self._tasks, clean_associations=self._listener.clean_up)
        if self._place.settings.files.in_bucket:  # else the process on duty does it for all
            entrance.append(leftovers.of_receptions(self._place))
        self._end_ticks = schedule.start(entrance, self._tasks.clock)
        log.info(
            "node listening",
            ae_title=self._place.settings.node.ae_title,
            host=self._place.settings.node.host,
            **{name: server.server_address[1] for name, server in self._servers.items()},
            **({} if self._web is None else {"stow_port": self._web.port}),
            peers=len(self._place.settings.peers),
        )

    def obstacles(self) -> list[str]:
        """Return why images are refused now."""
        return entrances.obstacles(self._place.settings, self._place.archive, self._servers)

    def stop(self, seconds: float) -> bool:
        """Take nobody new, let open associations end; tell whether none was cut off."""
        requests_ended = self._web is None or self._web.stop(seconds)
        associations_ended = self._processes.end_all(list(self._servers.values()), seconds)
        self._end_ticks()
        self._listener.clean_up()
        return requests_ended and associations_ended
