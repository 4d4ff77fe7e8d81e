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


def hang_up(association: Association) -> None:
    """End the connection of ``association``, whatever its threads are doing."""
    connection = connection_of(association)
    if connection is not None:
        with contextlib.suppress(OSError):  # it may have gone already
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
