"""What a process has to do with the one that started it: it tells it that it is ready, and ends with it."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from multiprocessing import parent_process
from typing import Final

READY: Final = "READY=1\nSTATUS=listening"
STOPPING: Final = "STOPPING=1\nSTATUS=stopping"


def reloading(words: str) -> str:
    """Return what is sent when the configuration is read again, or the node starts again; `READY` ends it."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}\nSTATUS={words}"


def notify(state: str) -> None:
    """Send ``state`` to what has started the node, if it wants to know: systemd does (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    name = "\0" + address[1:] if address.startswith("@") else address
    # who does not listen any more does not matter: the node serves all the same
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(state.encode(), name)


def end_with_parent() -> None:
    """End this process when its parent is gone, however that happened: a new node starts its own children."""
    threading.Thread(target=_wait_for_the_end_of_parent, daemon=True).start()


def _wait_for_the_end_of_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
