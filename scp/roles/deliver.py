"""The role of who delivers, and does what one process of all does: upkeep, alerts, the audit messages' way.

Any number of processes may have the role. One of them has the duty, a lock that its session with the database
holds; another takes it when that session ends. Who has it asks the server whether it still does before each
object that it sends, so that at most the object under way is offered twice: same UID, same bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import structlog

from scp import schedule, ticks
from scp.alerts.watch import AlertWatch
from scp.auditing import forwarder
from scp.auditing.trail import Trail
from scp.delivering import assembly
from scp.delivering.dispatcher import Dispatcher
from scp.roles import leftovers
from scp.roles.bell import DELIVERIES
from scp.roles.surroundings import Surroundings
from storage.errors import StorageError

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 2.0
"""Between two tries to take the duty over."""
HELD_SECONDS: Final = 1.0
"""Between two looks whether it is still held."""
STOP_SECONDS: Final = 10.0
"""How long deliveries under way may take at the end of the duty."""
ALERT_STOP_SECONDS: Final = 2.0
AUDIT_STOP_SECONDS: Final = 2.0


class Deliver:
    """Takes the duty when it is free, and does it. Satisfies `scp.roles.surroundings.Role`."""

    def __init__(self, place: Surroundings, trail: Trail) -> None:
        self._place = place
        self._trail = trail
        self._duty = place.database.server.duty()
        self._stopping = threading.Event()
        self._on_duty = threading.Event()
        self._dispatcher: Dispatcher | None = None
        self._ended_in_order = True
        self._thread = threading.Thread(target=self._live, name="duty", daemon=True)
        place.presence.ready = self._on_duty.is_set
        self.followers: tuple[Callable[[], object], ...] = (self._waive_commitments,)
        self.bell_handlers = {DELIVERIES: self._wake}

    def start(self) -> None:
        """Begin to look for the duty."""
        self._thread.start()

    def obstacles(self) -> list[str]:
        """Return why it could not do the duty: nothing, where another process has it."""
        return []

    def stop(self, seconds: float) -> bool:
        """End what is under way; tell whether nothing was cut off."""
        self._stopping.set()
        self._thread.join(seconds + ALERT_STOP_SECONDS + AUDIT_STOP_SECONDS)
        self._duty.release()
        return self._ended_in_order and not self._thread.is_alive()

    def _wake(self) -> None:
        dispatcher = self._dispatcher
        if dispatcher is not None:
            dispatcher.wake()

    def _waive_commitments(self) -> None:
        if self._on_duty.is_set():
            self._place.tasks(self._trail).waive_commitments()

    def _live(self) -> None:
        while not self._stopping.is_set():
            try:
                self._place.database.check_place()  # else a node alone has the duty, without its lock
                if self._duty.take():
                    self._do_duty()
            except (StorageError, OSError) as error:
                log.warning("the duty cannot be done now, trying again", reason=str(error))
            except Exception:
                log.exception("the duty was left by a fault of the node, trying again")
            finally:
                self._duty.release()
            self._stopping.wait(LOOK_SECONDS)

    def _do_duty(self) -> None:
        """Deliver and keep house for one term: until the end, or until the duty is lost."""
        settings, database = self._place.settings, self._place.database
        over = threading.Event()
        tasks = replace(self._place.tasks(self._trail), ending=over.is_set)
        tasks.waive_commitments()

        def may_send() -> bool:
            """Ask both: the duty may come back while a thread of this term still waits for a peer."""
            return not over.is_set() and self._duty.held()

        audit_over = threading.Event()
        """Whether what this term has done stands in the audit trail, and was sent where it could be."""
        end_forwarding = (
            (lambda _: None)  # each process sends its own: they share no folder
            if settings.files.in_bucket
            else forwarder.forward(
                settings, self._trail, may_send=lambda: not audit_over.is_set() and self._duty.held()
            )
        )
        delivering = assembly.assemble(settings, database, self._place.archive, self._trail, may_send)
        self._dispatcher = dispatcher = delivering.dispatcher
        alert_watch = AlertWatch(settings=settings, database=database, now=database.now)
        end_ticks = schedule.start(
            [*ticks.of_upkeep(tasks), *leftovers.ticks(self._place, over.is_set)], tasks.clock
        )
        dispatcher.start()
        alert_watch.start()
        self._on_duty.set()
        self._place.presence.tell_if_possible()
        log.info("on duty: this process delivers and keeps house")
        try:
            while not self._stopping.wait(HELD_SECONDS) and self._duty.held():
                database.check_place()
            if not self._stopping.is_set():
                log.warning("the duty was lost: the session with the database has ended")
        finally:
            over.set()
            self._on_duty.clear()
            self._dispatcher = None
            self._ended_in_order = dispatcher.stop(STOP_SECONDS)
            alert_watch.stop(ALERT_STOP_SECONDS)
            end_ticks()
            end_forwarding(AUDIT_STOP_SECONDS)
            audit_over.set()
