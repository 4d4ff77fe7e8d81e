"""The connection gate, between a TCP connection and its association: a wrong call ends here.

One thread accepts, and reads every caller's request as it comes: a caller that sends nothing, or drips, costs
a descriptor and no thread. Whose request is whole, or who begins with TLS, gets a thread.
"""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from scp.network import tls_reasons
from scp.network.pynetdicom_fixes import units
from scp.network.pynetdicom_fixes.units import BrokenUnit
from scp.receiving.callers import Caller, Callers
from storage.refused import Refused

log = structlog.get_logger(__name__)

TLS_HANDSHAKE: Final = 0x16
"""First byte of a TLS ClientHello (RFC 8446 5.1)."""
LOOK: Final = 0.5
"""Seconds after which the gate looks for callers whose time is over, if nothing else happens."""
AT_ONCE: Final = 16
"""Connections accepted before those that are there are read again."""
PAUSE: Final = 0.05
"""Seconds to wait where no connection can be accepted and no caller can make room."""

TO_TLS: Final = (
    "correct port or TLS at the peer; a peer that should call with TLS calls [tls] port, and has "
    "tls = true among the [[peers]]"
)
FROM_PLAIN: Final = "switch TLS on at the peer, or let it call the port without TLS, [node] port"


class ConnectionGate:
    """Reads the requests of the callers at one port, or leaves TLS to `secured`.

    Parameters
    ----------
    most
        Callers at one time that have made no request.
    context
        Gives how a TLS caller is answered, for each connection anew; None for a port without TLS.
    seconds
        How long a caller may take for all of its request, its TLS handshake included.
    refused
        Called with the address of a caller that came to no association, the reason, and its words.

    """

    def __init__(
        self,
        most: int,
        *,
        context: Callable[[], ssl.SSLContext] | None,
        seconds: float,
        refused: Callable[[str, Refused, str], None] = lambda *_: None,
    ) -> None:
        self._refused = refused
        self.callers = Callers(most, crowded=lambda: refused("", Refused.CROWD, ""))
        self._context = context
        self.seconds = seconds
        self._selector = selectors.DefaultSelector()
        self._waking, self._woken = socket.socketpair()
        self._closing = threading.Event()
        self._closed = threading.Event()
        self._closed.set()

    def serve(self, listening: socket.socket, let_in: Callable[[Caller], None]) -> None:
        """Accept and read until `close`; call ``let_in`` with each caller that needs a thread."""
        self._closed.clear()
        listening.setblocking(False)
        try:
            self._selector.register(listening, selectors.EVENT_READ)
            self._selector.register(self._woken, selectors.EVENT_READ)
            looked = time.monotonic()
            while not self._closing.is_set():
                for key, _ in self._selector.select(LOOK):
                    if key.data is not None:
                        self._serve(key.data, let_in)
                    elif key.fileobj is listening:
                        self._accept(listening)
                if time.monotonic() - looked >= LOOK:
                    looked = time.monotonic()
                    self._end_overdue()
        finally:
            self._close_all()

    def close(self) -> None:
        """End `serve`, and every connection that is no association yet."""
        self._closing.set()
        with contextlib.suppress(OSError):  # closed already
            self._waking.send(b"x")
        self._closed.wait()
        self.callers.hang_up()

    def secured(self, caller: Caller) -> bool:
        """Agree about TLS with a caller that has begun with it, read its request, and tell whether it came.

        To be called in a thread. Where it did not come the log says why, and the connection is to be closed.
        """
        assert self._context is not None  # noqa: S101 - the gate lets nobody in without a request otherwise
        try:
            caller.connection.settimeout(max(0.1, caller.deadline - time.monotonic()))
            secured = self._context().wrap_socket(
                caller.connection, server_side=True, do_handshake_on_connect=False
            )
            caller.connection = secured
            if self._closing.is_set():  # `close` may have found the socket between its two owners
                return False
            secured.do_handshake()
        except OSError as error:
            reason = tls_reasons.reason_of(error)
            log.warning("connection closed: TLS failed", address=caller.address, reason=reason)
            self._refused(caller.address, Refused.TLS, f"TLS failed: {reason}")
            return False
        try:
            while (missing := caller.missing()) and (remaining := caller.deadline - time.monotonic()) > 0:
                secured.settimeout(remaining)
                if not (piece := secured.recv(missing)):
                    return False
                caller.received += piece
        except BrokenUnit as error:
            self._refuse(caller, error)
            return False
        except OSError:
            missing = 1
        if missing:
            self._tell_late(caller)
        return not missing

    def refuse_unreadable(self, caller: Caller, error: Exception) -> None:
        """Refuse a caller whose request the library cannot read."""
        self._refuse(caller, BrokenUnit(f"the request cannot be read ({type(error).__name__})"))

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, address = listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in {errno.EMFILE, errno.ENFILE}:
                    self._make_room()
                return
            connection.setblocking(False)
            caller = Caller(connection, str(address[0]), time.monotonic() + self.seconds)
            superfluous = self.callers.enter(caller)
            if superfluous is not None and superfluous.at_gate:
                self._close(superfluous)
            self._selector.register(connection, selectors.EVENT_READ, caller)

    def _make_room(self) -> None:
        """Close one caller's connection, or wait a little where there is none."""
        longest = self.callers.free_a_place()
        if longest is not None and longest.at_gate:
            self._close(longest)
        else:
            time.sleep(PAUSE)

    def _serve(self, caller: Caller, let_in: Callable[[Caller], None]) -> None:
        """Read what has come of ``caller``; let it in, or close it, where that decides."""
        if caller.connection.fileno() < 0:
            return  # it had to go for another in this very round
        try:
            outcome = self._read(caller)
        except BlockingIOError:
            return
        except (BrokenUnit, OSError) as error:
            if isinstance(error, BrokenUnit):
                self._refuse(caller, error)
            self._close(caller)
            return
        if outcome:
            self._selector.unregister(caller.connection)
            caller.at_gate = False
            caller.connection.setblocking(True)
            let_in(caller)

    def _read(self, caller: Caller) -> bool:
        """Read on; tell whether ``caller`` needs a thread now. Raises OSError where it is to be closed."""
        if not caller.received:
            first = caller.connection.recv(1, socket.MSG_PEEK)
            if not first:
                raise ConnectionResetError
            if self._begins_tls(first[0]):
                return True
        missing = caller.missing()
        piece = caller.connection.recv(missing)
        if not piece:
            raise ConnectionResetError
        caller.received += piece
        return not caller.missing()

    def _begins_tls(self, first: int) -> bool:
        """Tell whether ``first`` begins TLS at the port with TLS. Raises WrongPort."""
        if self._context is None:
            if first == TLS_HANDSHAKE:
                raise WrongPort("TLS at the port without TLS", TO_TLS)
            return False
        if first == units.REQUEST:
            raise WrongPort("no TLS at the port with TLS", FROM_PLAIN)
        if first != TLS_HANDSHAKE:
            raise WrongPort("neither TLS nor DICOM at the port with TLS")
        return True

    def _end_overdue(self) -> None:
        for caller in self.callers.overdue():
            self._tell_late(caller)
            self._close(caller)
        self.callers.forget_dead()

    def _close(self, caller: Caller) -> None:
        self.callers.leave(caller)
        with contextlib.suppress(KeyError, ValueError):  # closed already
            self._selector.unregister(caller.connection)
        caller.connection.close()

    def _close_all(self) -> None:
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                self._close(key.data)
        self._selector.close()
        self._waking.close()
        self._woken.close()
        self._closed.set()

    def _refuse(self, caller: Caller, error: BrokenUnit) -> None:
        """Say in one line of the log what was wrong, and in an A-ABORT where DICOM may be understood."""
        if isinstance(error, WrongPort):
            self._refused(caller.address, Refused.WRONG_PORT, str(error))
            remedy = {"remedy": error.remedy} if error.remedy else {}
            event = f"connection closed: {error}"
            log.warning(event, address=caller.address, **remedy)
            return
        self._refused(caller.address, Refused.NO_REQUEST, str(error))
        with contextlib.suppress(OSError):
            caller.connection.send(units.ABORT)
        log.warning("connection closed: no association request", reason=str(error), address=caller.address)

    def _tell_late(self, caller: Caller) -> None:
        late = "connection closed: the request did not come in time"
        event = late if caller.received else "connection closed: nothing came"
        self._refused(caller.address, Refused.SILENT, event)
        log.info(event, address=caller.address, seconds=self.seconds)


class WrongPort(BrokenUnit):
    """The caller has taken one port of the node for the other, or for something else."""

    def __init__(self, reason: str, remedy: str | None = None) -> None:
        super().__init__(reason)
        self.remedy = remedy
