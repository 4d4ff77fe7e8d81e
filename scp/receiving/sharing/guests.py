"""Associations with callers whose connections another process has accepted, and admitted."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.pdu import A_ASSOCIATE_RQ

from scp.network import contexts
from scp.network.pynetdicom_fixes.association_requests import ReadRequestServer, read_request
from scp.receiving.listener import Listener, requested

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Guests:
    """Who is here, by the numbers that the other process has given. Safe for use from many threads."""

    ended: Callable[[int], object]
    """Called with the number of each whose association has ended."""
    _numbers: dict[Association, int] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def enter(self, association: Association, number: int) -> None:
        """Note that ``association`` is with the caller ``number``."""
        with self._lock:
            self._numbers[association] = number

    def leave(self, association: Association) -> None:
        """Note that ``association`` has ended, if that is not known yet."""
        with self._lock:
            number = self._numbers.pop(association, None)
        if number is not None:
            self.ended(number)

    def drop(self, number: int) -> None:
        """Note that the caller ``number`` has come to no association."""
        with self._lock:
            for association in [entry for entry, entered in self._numbers.items() if entered == number]:
                del self._numbers[association]
        self.ended(number)

    def look_for_dead(self) -> None:
        """Note the associations that have ended without an event."""
        with self._lock:
            associations = [association for association in self._numbers if association.ident is not None]
        for association in associations:
            if not association.is_alive():
                self.leave(association)


class GuestServer(ReadRequestServer):
    """Has no port: begins associations over connections that it is given."""

    def __init__(self, *args: Any, guests: Guests, **kwargs: Any) -> None:  # noqa: ANN401 - the library's
        self._guests = guests
        self._asking: dict[Any, tuple[int, A_ASSOCIATE_RQ]] = {}
        super().__init__(*args, **kwargs)

    def server_bind(self) -> None:
        """Bind nothing."""

    def server_activate(self) -> None:
        """Listen to nobody."""

    def begin(self, number: int, connection: socket.socket, request: bytes, *, seconds: float) -> None:
        """Begin the association that the caller ``number`` has asked for; it may be silent for ``seconds``.

        Where it has gone meanwhile there is none, and it has ended.
        """
        try:
            pdu = read_request(request)
            address = connection.getpeername()
            connection.settimeout(seconds)
            self._asking[connection] = number, pdu
            self.finish_request(connection, address)
        except Exception as error:
            if not isinstance(error, OSError):  # it may have gone meanwhile
                log.exception("connection dropped: this is a fault of the node")
            connection.close()
            self._asking.pop(connection, None)
            self._guests.drop(number)

    def take_request(self, connection: Any, association: Association) -> A_ASSOCIATE_RQ:  # noqa: ANN401 - the library's
        """Return the request of the caller at ``connection``, who has an ``association`` now."""
        number, pdu = self._asking.pop(connection)
        self._guests.enter(association, number)
        return pdu


@dataclass(frozen=True, kw_only=True, slots=True)
class GuestListener(Listener):
    """Turns what happens on such connections into calls. Who may associate was decided before."""

    guests: Guests

    def server(self) -> GuestServer:
        """Return what begins the associations."""
        address = self.settings.node.host, self.settings.node.port
        server = self._make_server(address, GuestServer, guests=self.guests)
        assert isinstance(server, GuestServer)  # noqa: S101 - the library's type says more than it does
        return server

    def on_requested(self, event: Event) -> None:
        """Say what is negotiated."""
        event.assoc.acceptor.supported_contexts = contexts.accepted(requested(event))

    def on_closed(self, event: Event) -> None:
        """Forget who was connected, and what it left unfinished."""
        Listener.on_closed(self, event)
        self.guests.leave(event.assoc)

    def clean_up(self) -> None:
        """Clean up after associations that died without an event. To be called every second or so."""
        self.guests.look_for_dead()
        Listener.clean_up(self)
