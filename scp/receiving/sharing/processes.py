"""The processes that receive beside the one that listens, from outside: who goes to which, and their ends."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Final

import structlog
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE

from scp import retry_policy
from scp.configuration.settings import Settings
from scp.network import contexts
from scp.process.child import Child, received
from scp.receiving.admission import Admission, Request
from scp.receiving.callers import Caller
from scp.receiving.calls import CallCounts
from scp.receiving.server import Server, end_associations
from scp.receiving.sharing import messages
from storage.errors import StorageError

log = structlog.get_logger(__name__)

UNRECEIVED: Final = 2
"""Callers that a process may have and not have begun with: more would fill the pipe of one that hangs."""
LONGER: Final = 3.0
"""Seconds beyond those of its associations that a process may take to end."""


@dataclass(eq=False, slots=True)
class Guest:
    """A caller in another process: an association, as far as admission knows it."""

    number: int
    is_received: bool = False
    ended: bool = False

    def is_alive(self) -> bool:
        """Whether it can still send something."""
        return not self.ended


class ReceivingProcesses:
    """Owns the processes. `start`, `hand_over` for each caller, `stop` in the end. Safe for many threads.

    A connection is handed over with its whole request, once the caller is admitted: limits, counts and
    refusals are those of one process. Where a process dies its associations break, and whoever calls next is
    served by another.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        admission: Admission,
        calls: CallCounts,
        arrived: Callable[[], None],
        association_ended: Callable[[], object],
    ) -> None:
        """Call ``arrived`` when there is work, ``association_ended`` when an association has ended."""
        self._settings = settings
        self._admission = admission
        self.calls = calls
        self._association_ended = association_ended
        # only who has the guard of a server's database may write there, and one process alone can have it
        alone = settings.database.server is not None and not settings.node.shares
        self._processes = tuple(
            _Process(number, settings, left=self._left, arrived=arrived)
            for number in range(1, 1 if alone else settings.node.receiving_processes)
        )
        self._numbers = itertools.count(1)
        self._residents: list[Caller] = []
        """Callers that were not handed over, as long as they are connected."""
        self._lock = threading.Lock()

    @property
    def died(self) -> int:
        """How many have ended before they were told to: files may be left that no row names."""
        return sum(process.died for process in self._processes)

    def start(self) -> None:
        """Start the processes, and keep each alive until `stop`."""
        for process in self._processes:
            process.start()

    def hand_over(self, caller: Caller, pdu: A_ASSOCIATE_RQ) -> bool:
        """Give ``caller`` to the process with the fewest; tell whether one has it now.

        Those stay here that bring no image, or ask for storage commitment: what is answered to that, and
        when, one process knows. So do those that are refused.
        """
        primitive = pdu.to_primitive()
        guest = Guest(next(self._numbers))
        process = self._reserve(caller, guest, suits=self._suits(primitive))
        if process is None:
            return False
        request = Request(
            calling_ae=primitive.calling_ae_title.strip(),
            called_ae=primitive.called_ae_title.strip(),
            address=caller.address,
        )
        decision = self._admission.admit(guest, request)
        if decision.refused is None and process.take(guest, caller):
            self.calls.count(request, decision)
            return True
        process.forget(guest)
        self._admission.forget(guest)
        with self._lock:
            self._residents.append(caller)
        return False

    def follow(self) -> None:
        """Tell the processes that the settings have changed; one that starts later has them then."""
        for process in self._processes:
            process.follow()

    def end_all(self, servers: Sequence[Server], seconds: float) -> bool:
        """Listen no more with ``servers``; let open associations, here too, end for at most ``seconds``.

        Then the processes are ended. Tell whether no association was cut off.
        """
        for server in servers:
            server.shutdown()
        with ThreadPoolExecutor(len(self._processes) + 1) as threads:
            own = threads.submit(end_associations, servers, seconds)
            ended = [threads.submit(process.stop, seconds) for process in self._processes]
            return all([own.result(), *(process.result() for process in ended)])

    def _reserve(self, caller: Caller, guest: Guest, *, suits: bool) -> _Process | None:
        """Return the process for ``caller``, which counts it as ``guest``; None where it stays here."""
        with self._lock:
            self._residents = [waiting for waiting in self._residents if _is_connected(waiting)]
            ready = [process for process in self._processes if suits and process.takes_callers]
            process = min(ready, key=lambda process: process.load, default=None)
            if process is None or process.load >= len(self._residents):
                self._residents.append(caller)
                return None
            process.expect(guest)
            return process

    def _suits(self, primitive: A_ASSOCIATE) -> bool:
        """Tell whether another process could serve who asks with ``primitive``."""
        classes = {str(context.abstract_syntax) for context in primitive.presentation_context_definition_list}
        return (
            self._settings.peer(primitive.calling_ae_title.strip()) is not None
            and not classes.isdisjoint(contexts.IMAGES)
            and contexts.COMMITMENT not in classes
        )

    def _left(self, guest: Guest) -> None:
        if self._admission.forget(guest):
            try:
                self._association_ended()
            except StorageError as error:  # a tick looks every second; what was kept stays kept
                log.warning("complete studies are looked for later", reason=str(error))


class _Process:
    """One process, and its guests. Safe for use from many threads."""

    def __init__(
        self, number: int, settings: Settings, *, left: Callable[[Guest], None], arrived: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._left = left
        self._arrived = arrived
        self._name = f"receiver-{number}"
        self._child = Child(
            self._name,
            stop_message=messages.STOP,
            wait=retry_policy.WORKER_START.wait,
            stable_seconds=retry_policy.STABLE_SECONDS,
        )
        self._lock = threading.Lock()
        self._guests: dict[int, Guest] = {}
        self._is_ready = False
        self._cut_off = False
        self.died = 0

    @property
    def load(self) -> int:
        """How many guests it has."""
        return len(self._guests)

    @property
    def takes_callers(self) -> bool:
        """Whether it runs, and has begun with those that it was given."""
        with self._lock:
            unreceived = sum(not guest.is_received for guest in self._guests.values())
            return self._is_ready and unreceived < UNRECEIVED and not self._child.stopping.is_set()

    def start(self) -> None:
        """Start it, and keep it alive until `stop`."""
        self._child.start(self._live)

    def expect(self, guest: Guest) -> None:
        """Count ``guest``, who comes soon."""
        with self._lock:
            self._guests[guest.number] = guest

    def take(self, guest: Guest, caller: Caller) -> bool:
        """Give it the expected ``guest``, who is ``caller`` here; tell whether that was possible."""
        message = messages.numbered(messages.CALLER, guest.number, bytes(caller.received))
        return self._child.send(message, caller.connection.fileno())

    def forget(self, guest: Guest) -> None:
        """Expect ``guest`` no more."""
        with self._lock:
            self._guests.pop(guest.number, None)

    def follow(self) -> None:
        """Tell it that the settings have changed."""
        self._child.send(messages.SETTINGS + self._settings.model_dump_json().encode())

    def stop(self, seconds: float) -> bool:
        """Let its associations end; tell whether it ended by itself, and cut none off."""
        at_once = not self._is_ready  # it has no guests, and would hear of the end only after its start
        ended = self._child.stop(seconds + LONGER, unheard=at_once)
        return (ended or at_once) and not self._cut_off

    def _live(self) -> int | None:
        """Run it to its end, and see to the guests that it had; return its exit code."""
        snapshot = self._settings.model_copy()

        def listen(pipe: Connection, _process: BaseProcess) -> None:
            if snapshot != self._settings:  # they have changed while it was started
                self.follow()
            while (message := received(pipe)) is not None:
                try:
                    self._handle(message)
                except Exception:
                    # an unforeseen fault must not end the process, which keeps images all the same
                    log.exception("message not handled: this is a fault of the node", process=self._name)

        code = self._child.run(_begin, (snapshot,), listen=listen)
        self._is_ready = False
        self.died += not self._child.stopping.is_set()
        with self._lock:
            guests, self._guests = list(self._guests.values()), {}
        for guest in guests:
            self._end(guest)
        return code

    def _handle(self, message: bytes) -> None:
        if message == messages.ARRIVED:
            self._arrived()
        elif message == messages.READY:
            log.info("process receives", process=self._name)
            self._is_ready = True
        elif message == messages.CUT_OFF:
            self._cut_off = True
        elif message.startswith(messages.RECEIPT):
            number, _ = messages.parts(message, messages.RECEIPT)
            with self._lock:
                if (guest := self._guests.get(number)) is not None:
                    guest.is_received = True
        elif message.startswith(messages.ENDED):
            number, _ = messages.parts(message, messages.ENDED)
            with self._lock:
                guest = self._guests.pop(number, None)
            if guest is not None:
                self._end(guest)

    def _end(self, guest: Guest) -> None:
        guest.ended = True
        self._left(guest)


def _is_connected(caller: Caller) -> bool:
    """Tell whether ``caller`` has an association, or may come to one."""
    association = caller.association
    if association is None or association.ident is None:
        return caller.connection.fileno() >= 0
    return association.is_alive()


def _begin(settings: Settings, pipe: Connection) -> None:
    # imported in that process alone: the one that listens needs none of it
    from scp.receiving.sharing import process  # noqa: PLC0415

    process.main(settings, pipe)
