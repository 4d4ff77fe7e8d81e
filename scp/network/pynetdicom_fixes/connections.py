"""The connection of an association: asked by poll(2), limited in its silence, ended from outside."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from pynetdicom import transport
from pynetdicom.association import Association


def poll_connections() -> None:
    """Let pynetdicom ask by poll(2) whether a connection has something to read, whatever its descriptor."""
    setattr(transport, "select", SimpleNamespace(select=_poll))  # noqa: B010 - mypy forbids to assign a module


def _poll(
    readable: Sequence[Any], _: Sequence[Any], __: Sequence[Any], seconds: float
) -> tuple[list[Any], ...]:
    """Do what `select.select` does with one connection to read."""
    (connection,) = readable
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return ([connection] if poll.poll(seconds * 1000) else []), [], []


def connection_of(association: Association) -> socket.socket | None:
    """Return the connection of ``association``, None where it is closed already."""
    wrapper = association.dul.socket
    return None if wrapper is None else wrapper.socket


def limit_silence(association: Association, seconds: float) -> None:
    """Let the peer take or give nothing for so many ``seconds`` in a message; then the connection ends.

    Without this, a peer that stops reading holds the association for ever: an abort waits behind the bytes
    that the peer does not take.
    """
    connection = connection_of(association)
    if connection is not None:
        with contextlib.suppress(OSError):  # closed meanwhile
            connection.settimeout(seconds)


def send_at_once(association: Association) -> None:
    """Let no unit wait until the peer has acknowledged the one before (TCP_NODELAY, RFC 9293 3.7.4).

    The library hands each unit over whole, so there is nothing to collect.
    """
    connection = connection_of(association)
    if connection is not None:
        with contextlib.suppress(OSError):  # closed meanwhile
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def acknowledge(connection: socket.socket) -> None:
    """Let Linux acknowledge now what has come (TCP_QUICKACK, tcp(7)); elsewhere that comes when it comes.

    DCMTK, and so Orthanc, writes the head of a unit by itself and keeps the rest until that is acknowledged
    (RFC 9293 3.7.4). Linux hopes to say so with the next thing that we send, 40 ms long, and we send nothing
    before we have the rest.
    """
    if hasattr(socket, "TCP_QUICKACK"):
        with contextlib.suppress(OSError):  # closed meanwhile
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def hang_up(association: Association) -> None:
    """End the connection of ``association``, whatever its threads are doing."""
    connection = connection_of(association)
    if connection is not None:
        with contextlib.suppress(OSError):  # it may have gone already
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
