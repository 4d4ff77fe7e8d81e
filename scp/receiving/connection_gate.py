"""The connection gate, between a TCP connection and its first DICOM message: a wrong call ends here.

It runs in the connection's own thread: a caller that sends nothing, or is slow with TLS, delays nobody.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Final

import structlog

from scp.network import tls_reasons

log = structlog.get_logger(__name__)

TLS_HANDSHAKE: Final = b"\x16"
"""First byte of a TLS ClientHello (RFC 8446 5.1)."""
A_ASSOCIATE_RQ: Final = b"\x01"
"""First byte of an association request (PS3.8 9.3.2)."""
MOST_WAITING: Final = 256
"""Callers at the gate, two descriptors each. With one more, the caller that has been silent for longest has
to go: a caller that has something to say does so at once."""


class ConnectionGate:
    """Makes connections ready for DICOM, with TLS where ``context`` is given. Safe for use from many threads.

    Parameters
    ----------
    context
        Gives how a TLS caller is answered, for each connection anew; None for a port without TLS.
    seconds
        How long a caller may be silent, and how long it may take to agree about TLS.

    """

    def __init__(self, *, context: Callable[[], ssl.SSLContext] | None, seconds: float) -> None:
        self._context = context
        self._seconds = seconds
        self._lock = threading.Lock()
        self._waiting: dict[socket.socket, None] = {}
        """In the order of their coming."""
        self._closed = False

    def admit(self, connection: socket.socket, address: str) -> socket.socket | None:
        """Return the socket over which ``address`` speaks DICOM, or None: the log says why.

        What is not returned is still to be closed by the caller.
        """
        with self._interruptible(connection):
            connection.settimeout(self._seconds)
            try:
                first = connection.recv(1, socket.MSG_PEEK)
            except TimeoutError:
                log.info("connection closed: nothing came", address=address, seconds=self._seconds)
                return None
            except OSError:
                return None  # it hung up, as everybody may
            if not first:
                return None
            if self._context is not None:
                return _secured(self._context(), connection, first, address)
            if first == TLS_HANDSHAKE:
                log.warning("connection closed: TLS at the port without TLS", address=address, remedy=TO_TLS)
                return None
            return connection

    def close(self) -> None:
        """Close every connection that is still at the gate, now and from now on."""
        with self._lock:
            self._closed = True
            for connection in self._waiting:
                _hang_up(connection)

    @contextlib.contextmanager
    def _interruptible(self, connection: socket.socket) -> Iterator[None]:
        """Let `close` end ``connection`` meanwhile, through a twin that no TLS wrapping takes away."""
        with connection.dup() as twin:
            with self._lock:
                self._make_room()
                self._waiting[twin] = None
                if self._closed:
                    _hang_up(twin)
            try:
                yield
            finally:
                with self._lock:
                    self._waiting.pop(twin, None)

    def _make_room(self) -> None:
        """Close the connection that waits longest where there are too many. Call it with the lock held."""
        if len(self._waiting) >= MOST_WAITING:
            longest = next(iter(self._waiting))
            del self._waiting[longest]
            _hang_up(longest)
            log.warning("connection closed: too many callers that say nothing", most=MOST_WAITING)


TO_TLS: Final = (
    "correct port or TLS at the peer; a peer that should call with TLS calls [tls] port, and has "
    "tls = true among the [[peers]]"
)
FROM_PLAIN: Final = "switch TLS on at the peer, or let it call the port without TLS, [node] port"


def _secured(
    context: ssl.SSLContext, connection: socket.socket, first: bytes, address: str
) -> ssl.SSLSocket | None:
    """Agree about TLS."""
    if first == A_ASSOCIATE_RQ:
        log.warning("connection closed: no TLS at the port with TLS", address=address, remedy=FROM_PLAIN)
        return None
    if first != TLS_HANDSHAKE:
        log.warning("connection closed: neither TLS nor DICOM at the port with TLS", address=address)
        return None
    secured: ssl.SSLSocket | None = None
    try:
        secured = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        secured.do_handshake()
    except OSError as error:
        log.warning("connection closed: TLS failed", address=address, reason=tls_reasons.reason_of(error))
        if secured is not None:
            _hang_up(secured)
            secured.close()
        return None
    return secured


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may have gone already
        connection.shutdown(socket.SHUT_RDWR)
