"""Tells systemd that the node is ready, or stops (sd_notify(3)): one datagram, nothing where nobody asks."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import Final

READY: Final = "READY=1\nSTATUS=listening"
STOPPING: Final = "STOPPING=1\nSTATUS=stopping"


def reloading() -> str:
    """Return what is sent when the configuration is read again; `READY` ends it."""
    return (
        f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}\nSTATUS=reading the configuration again"
    )


def notify(state: str) -> None:
    """Send ``state`` to who has started the node, if it wants to know."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    name = "\0" + address[1:] if address.startswith("@") else address
    # who does not listen any more does not matter: the node serves all the same
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(state.encode(), name)
