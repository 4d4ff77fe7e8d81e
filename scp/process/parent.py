"""What a process has to do with the one that started it: it tells it that it is ready, and ends with it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import sys
import threading
import time
from multiprocessing import parent_process
from typing import Final

READY: Final = "READY=1\nSTATUS=listening"
STOPPING: Final = "STOPPING=1\nSTATUS=stopping"
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
"""Options of prctl(2), from linux/prctl.h; Python has no names for them."""


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


def die_with_starter() -> None:
    """Let Linux kill this process when the thread that has started it is gone, also while it is stopped.

    To be called by a program that has itself started by exec; `end_with_parent` needs it to run.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def name_process(name: str) -> None:
    """Let ``ps`` and ``top`` show ``name`` for this process, as far as 15 characters go (prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def end_with_parent() -> None:
    """End this process when its parent is gone, however that happened: a new node starts its own children."""
    threading.Thread(target=_wait_for_the_end_of_parent, daemon=True).start()


def _wait_for_the_end_of_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
