"""The entrance of a web server: how many strangers may hold a connection, and for how long.

As at the ports for DICOM, a connection is counted from its acceptance on, TLS handshake included, until the
application knows who asks and calls `admit`; its request and the answer have one time for the whole of them.
From `dismiss` on, or after the answer, it is a stranger's again.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import structlog
from starlette.requests import Request
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from scp.receiving.callers import Caller, Callers, places
from storage.refused import Refused

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

log = structlog.get_logger(__name__)

SECONDS: Final = 15.0
"""For a stranger's whole request and its answer, from the acceptance or the answer before it on."""
_ADMIT: Final = "admit"
_DISMISS: Final = "dismiss"
_NONE_LEFT: Final = frozenset({errno.EMFILE, errno.ENFILE})


def admit(request: Request) -> None:
    """Stop to count and time the connection until ``request`` is answered: the caller is known."""
    if (call := request.scope.get("state", {}).get(_ADMIT)) is not None:
        call()


def dismiss(request: Request) -> None:
    """Count and time the connection again: all that is left is the answer to ``request``, which may hang."""
    if (call := request.scope.get("state", {}).get(_DISMISS)) is not None:
        call()


class Connection(socket.socket):
    """An accepted connection that knows what has come before TLS was agreed about."""

    any_byte = False
    """Whether a byte has come."""
    ended = False
    """Whether the caller has closed its side."""

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        """Read as any socket does. The event loop reads TLS by this and nothing else."""
        try:
            number = super().recv_into(buffer, nbytes, flags)
        except ConnectionError:
            self.ended = True
            raise
        self.any_byte = self.any_byte or number > 0
        self.ended = not number
        return number


class Entrance(socket.socket):
    """A listening socket that counts those whom it accepts. For the event loops of asyncio alone."""

    callers: Callers
    _refused: Callable[[Refused], None]
    _by_name: dict[tuple[str, int], Caller]

    @classmethod
    def at(cls, listener: socket.socket, refused: Callable[[Refused], None]) -> Self:
        """Take the place of ``listener``; call ``refused`` for each connection that came to no request."""
        entrance = cls(fileno=listener.detach())
        entrance._refused = refused
        entrance.callers = Callers(places(0), crowded=lambda: refused(Refused.CROWD))
        entrance._by_name = {}
        return entrance

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection and count it; where there are too many, one that waits has to go."""
        try:
            accepted, address = super().accept()
        except OSError as error:
            if error.errno in _NONE_LEFT:
                self.callers.free_a_place()
            raise
        connection = Connection(fileno=accepted.detach())
        caller = Caller(connection=connection, address=address[0], deadline=time.monotonic() + SECONDS)
        self._by_name[address[:2]] = caller
        self._enter(caller)
        # the library's own time for a TLS handshake is four times as long, and nobody counts before it ends
        asyncio.get_running_loop().call_later(SECONDS, self._end_handshake, address[:2], caller, connection)
        return connection, address

    def caller_at(self, name: tuple[str, int] | None) -> Caller | None:
        """Return who calls from this address and port, and is counted. Its TLS handshake, if any, is over."""
        caller = None if name is None else self._by_name.get(name)
        if caller is not None:
            caller.deadline = float("inf")  # the protocol has a timer from now on
        return caller

    def enter(self, name: tuple[str, int], caller: Caller) -> None:
        """Count ``caller`` again: its request is answered."""
        self._by_name[name] = caller
        self._enter(caller)

    def leave(self, name: tuple[str, int] | None) -> None:
        """Count who calls from this address and port no more."""
        if name is not None and (caller := self._by_name.pop(name, None)) is not None:
            self.callers.leave(caller)

    def _end_handshake(self, name: tuple[str, int], caller: Caller, connection: Connection) -> None:
        """Hang up ``caller`` where it has agreed about nothing yet, or has gone since it could not.

        One that has gone without a word has seen that the port is open, as programs that watch ports do.
        """
        if self._by_name.get(name) is caller and caller.deadline < float("inf"):
            if connection.any_byte:
                self._refused(Refused.TLS)
            elif not connection.ended:
                self._refused(Refused.SILENT)
            caller.hang_up()
            self.leave(name)

    def _enter(self, caller: Caller) -> None:
        if (longest := self.callers.enter(caller)) is not None:
            self._by_name = {name: left for name, left in self._by_name.items() if left is not longest}


class Protocol(H11Protocol):
    """HTTP on one connection that `entrance` has accepted."""

    entrance: ClassVar[Entrance]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        state = {**app_state, _ADMIT: self._admit, _DISMISS: self._count_again}
        super().__init__(config, server_state, state, _loop)
        self._caller: Caller | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._caller = self.entrance.caller_at(self.client)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it no more."""
        self._admit()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Wait for the next request, whoever made the last."""
        self._count_again()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Say so, and who it was."""
        log.warning("no HTTP: the connection is closed", address=self.client and self.client[0])
        super().send_400_response(msg)

    def _count_again(self) -> None:
        if self.client is not None and self._caller is not None and not self.transport.is_closing():
            self.entrance.leave(self.client)
            self.entrance.enter(self.client, self._caller)
            self._wait()

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(SECONDS, self.transport.abort)

    def _admit(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.entrance.leave(self.client)


def protocol(entrance: Entrance) -> type[Protocol]:
    """Return the protocol of those whom ``entrance`` accepts."""

    class Counted(Protocol):
        """Its connections know where they are counted."""

    Counted.entrance = entrance
    return Counted
