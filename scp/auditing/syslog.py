"""Syslog: the envelope of an audit message (RFC 5424, PS3.15 A.6 and A.7), and the ways to a receiver."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import ssl
import struct
import termios
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from scp.configuration.audit import Audit
from scp.configuration.tls import TLS
from scp.network import tls

PRIORITY: Final = 85
"""Facility 10 (security messages), severity 5 (notice): PS3.15 A.6.1."""
MESSAGE_ID: Final = "DICOM+RFC3881"
"""MSGID of messages of the schema in PS3.15 A.5.1."""
APP_NAME: Final = "SecondRead"
BOM: Final = b"\xef\xbb\xbf"
"""Stands before a message in UTF-8 (RFC 5424 6.4)."""
CONNECT_SECONDS: Final = 10.0
REFUSAL_SECONDS: Final = 1.0
TAKEN_SECONDS: Final = 10.0
"""So long the receiver's machine may take to acknowledge what was sent."""
LOOK_SECONDS: Final = 0.01
_HOSTNAME_LENGTH: Final = 255
_NOT_PRINTED: Final = re.compile("[^!-~]")


def envelope(message: bytes, *, at: datetime, host: str, process: int) -> bytes:
    """Return ``message`` as one syslog message."""
    name = _NOT_PRINTED.sub("", host)[:_HOSTNAME_LENGTH] or "-"
    moment = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    header = f"<{PRIORITY}>1 {moment} {name} {APP_NAME} {process} {MESSAGE_ID} - "
    return header.encode("ascii") + BOM + message


class Transport(Protocol):
    """A way to a receiver."""

    def send(self, messages: Sequence[bytes]) -> None:
        """Send all of them. Raises OSError: then any of them may have arrived, or none."""

    def probe(self) -> None:
        """Try the way and send nothing. Raises OSError."""

    def close(self) -> None:
        """Hang up."""


class Stream:
    """TCP with octet counting (RFC 6587 3.4.1), with TLS that is RFC 5425. One connection, kept open."""

    def __init__(self, host: str, port: int, context: Callable[[], ssl.SSLContext] | None) -> None:
        self._address = host, port
        self._context = context
        self._connection: socket.socket | None = None

    def send(self, messages: Sequence[bytes]) -> None:
        """Send them; return when the receiver's machine has acknowledged every byte. Raises OSError.

        Syslog has no answer of its own. What TCP has acknowledged is the most that can be known: a connection
        that breaks before that has all of them sent again.
        """
        try:
            if self._connection is None:
                self._connection = self._connected()
            else:
                _check_open(self._connection)
            self._connection.sendall(b"".join(b"%d %s" % (len(message), message) for message in messages))
            _await_taken(self._connection)
        except OSError:
            self.close()
            raise

    def probe(self) -> None:
        """Connect, and hang up. Raises OSError.

        Who refuses our certificate in TLS 1.3 says so after the handshake: it is listened to for a moment.
        """
        with self._connected() as connection:
            connection.settimeout(REFUSAL_SECONDS)
            with contextlib.suppress(TimeoutError):
                if not connection.recv(1):
                    raise ConnectionResetError("the receiver hangs up at once")

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> socket.socket:
        connection = socket.create_connection(self._address, timeout=CONNECT_SECONDS)
        if self._context is None:
            return connection
        try:
            return self._context().wrap_socket(connection, server_hostname=self._address[0])
        except BaseException:
            connection.close()
            raise


class Datagrams:
    """UDP, a message a datagram (RFC 5426). Nobody says what arrives."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port

    def send(self, messages: Sequence[bytes]) -> None:
        """Send them. Raises OSError where the machine itself cannot."""
        family, kind, protocol, _, address = socket.getaddrinfo(*self._address, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as out:
            out.connect(address)
            for message in messages:
                out.send(message)

    def probe(self) -> None:
        """Look the receiver's name up: there is nothing more that is answered. Raises OSError."""
        socket.getaddrinfo(*self._address, type=socket.SOCK_DGRAM)

    def close(self) -> None:
        """Do nothing: no connection stays open."""


class Lines:
    """A file to which each message is added as a line; it is opened anew each time, so it may be rotated."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, messages: Sequence[bytes]) -> None:
        """Add them, and sync. Raises OSError."""
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with open(descriptor, "ab") as file:  # noqa: PTH123 - a descriptor, for its mode
            file.write(b"".join(message + b"\n" for message in messages))
            file.flush()
            os.fsync(file.fileno())

    def probe(self) -> None:
        """Open the file, if there is one. Raises OSError."""
        if self._path.exists():
            self._path.open("ab").close()
        elif not os.access(self._path.parent, os.W_OK):
            raise OSError(f"{self._path.parent} is no folder in which this user may make a file")

    def close(self) -> None:
        """Do nothing: the file is closed already."""


def transport(audit: Audit, node_tls: TLS) -> Transport:
    """Return the way to the configured receiver."""
    if audit.file is not None:
        return Lines(audit.file)
    scheme, host, port = audit.receiver
    if scheme == "udp":
        return Datagrams(host, port)
    return Stream(host, port, (lambda: tls.of_no_peer(node_tls)) if scheme == "tls" else None)


def _check_open(connection: socket.socket) -> None:
    """Raise ConnectionError where the receiver has hung up since the last message."""
    connection.settimeout(0)
    try:
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
            if not connection.recv(1):
                raise ConnectionResetError("the receiver has hung up")
    finally:
        connection.settimeout(CONNECT_SECONDS)


def _await_taken(connection: socket.socket) -> None:
    """Wait until the peer's machine has acknowledged all (SIOCOUTQ, tcp(7)). Raises TimeoutError."""
    deadline = time.monotonic() + TAKEN_SECONDS
    while struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0" * 4))[0]:
        if time.monotonic() > deadline:
            raise TimeoutError("the receiver does not acknowledge what it was sent")
        time.sleep(LOOK_SECONDS)
