"""The callers that are not yet associated: counted in all and by address, from their first moment on.

A caller that has something to say says it at once: where there are too many, the one that has waited longest
goes. So good callers find a place, however many others come and whatever they do.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog
from pynetdicom.association import Association

from scp.network.pynetdicom_fixes import units
from scp.network.pynetdicom_fixes.units import HEADER, BrokenUnit

log = structlog.get_logger(__name__)

MOST: Final = 256
"""Callers at one port."""
LEAST: Final = 8
"""Callers at one port, however few descriptors there are."""
SHARE: Final = 4
"""One address may have so small a part of the places."""
OF_AN_ASSOCIATION: Final = 4
"""Descriptors: the connection, the file that comes in, the archive's copy, and one of the database."""
OF_THE_NODE: Final = 128
"""Descriptors for database, worker, deliveries and libraries."""
BETWEEN_LINES: Final = 10.0
"""Seconds between two lines of the log about callers that had to go: there may be thousands."""


def places(max_associations: int) -> int:
    """Return how many callers a port may have, so that descriptors are left for good ones and the node."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return MOST
    left = limit - OF_THE_NODE - OF_AN_ASSOCIATION * max_associations
    return max(LEAST, min(MOST, left // 2))


@dataclass(eq=False, slots=True)
class Caller:
    """A connection between its acceptance and its association."""

    connection: socket.socket
    address: str
    deadline: float
    """By the monotonic clock: when the whole request must have come."""
    received: bytearray = field(default_factory=bytearray)
    at_gate: bool = True
    """Whether the gate still reads it; otherwise a thread of its own has it."""
    association: Association | None = None

    def missing(self) -> int:
        """Return how many bytes to read next of the request; 0 where it is whole. Raises BrokenUnit."""
        if len(self.received) < HEADER:
            if self.received and self.received[0] != units.REQUEST:
                raise BrokenUnit(f"it begins with 0x{self.received[0]:02X}, which is no association request")
            return HEADER - len(self.received)
        length = units.length_of(bytes(self.received[:HEADER]), longest_data=0)
        return HEADER + length - len(self.received)

    def hang_up(self) -> None:
        """End the connection; who reads it notices."""
        with contextlib.suppress(OSError):  # it may have gone already
            # the plain socket's own: that of TLS would take away what its handshake, in another thread, uses
            socket.socket.shutdown(self.connection, socket.SHUT_RDWR)


class Callers:
    """The callers at one port, in the order of their coming. Safe for use from many threads.

    ``crowded`` is called for each that had to go, since there were too many.
    """

    def __init__(self, most: int, *, crowded: Callable[[], None] = lambda: None) -> None:
        self._most = most
        self._crowded = crowded
        self._most_of_address = max(1, most // SHARE)
        self._lock = threading.Lock()
        self._callers: dict[Caller, None] = {}
        self._closed = 0
        self._last_line = float("-inf")

    def enter(self, caller: Caller) -> Caller | None:
        """Count ``caller``; return the one that has to go for it, already hung up, if one has to."""
        with self._lock:
            longest = self._superfluous(caller.address)
            if longest is not None:
                del self._callers[longest]
                longest.hang_up()
                self._tell(longest.address)
            self._callers[caller] = None
        return longest

    def free_a_place(self) -> Caller | None:
        """Hang up and return the caller that goes first: the process has no descriptor left."""
        with self._lock:
            if (longest := self._longest(list(self._callers))) is not None:
                del self._callers[longest]
                longest.hang_up()
                self._tell(longest.address)
        return longest

    def leave(self, caller: Caller) -> None:
        """Count ``caller`` no more: it has gone, or is associated."""
        with self._lock:
            self._callers.pop(caller, None)

    def associated(self, association: Association) -> None:
        """Count the caller of ``association`` no more, if it still is one."""
        with self._lock:
            for caller in [caller for caller in self._callers if caller.association is association]:
                del self._callers[caller]

    def overdue(self) -> list[Caller]:
        """Return the callers at the gate whose time is over."""
        now = time.monotonic()
        with self._lock:
            return [caller for caller in self._callers if caller.at_gate and caller.deadline <= now]

    def hang_up(self) -> None:
        """End every connection that is no association yet."""
        with self._lock:
            for caller in self._callers:
                caller.hang_up()

    def forget_dead(self) -> None:
        """Count no more whose association has ended without an event."""
        with self._lock:
            for caller in list(self._callers):
                if (
                    caller.association is not None
                    and caller.association.ident is not None
                    and not caller.association.is_alive()
                ):
                    del self._callers[caller]

    def _superfluous(self, address: str) -> Caller | None:
        by_address = Counter(caller.address for caller in self._callers)
        if by_address[address] >= self._most_of_address:
            crowded = address
        elif len(self._callers) >= self._most:
            # who has made its request goes last, however many addresses the others call from
            waiting = Counter(caller.address for caller in self._callers if caller.at_gate)
            ((crowded, _),) = (waiting or by_address).most_common(1)
        else:
            return None
        return self._longest([caller for caller in self._callers if caller.address == crowded])

    @staticmethod
    def _longest(callers: list[Caller]) -> Caller | None:
        """Return the first of ``callers`` that has not made its request, else the first of all."""
        return next((caller for caller in callers if caller.at_gate), callers[0] if callers else None)

    def _tell(self, address: str) -> None:
        self._crowded()
        self._closed += 1
        if (now := time.monotonic()) - self._last_line < BETWEEN_LINES:
            return
        log.warning(
            "connections closed: too many callers that make no request",
            closed=self._closed,
            address_of_the_last=address,
            most=self._most,
            most_of_one_address=self._most_of_address,
        )
        self._closed, self._last_line = 0, now
