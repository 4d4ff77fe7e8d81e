"""Strangers at the port: callers that drip, claim, or send what is no protocol data unit."""

import contextlib
import random
import socket
import struct
import threading
import time
from itertools import cycle
from pathlib import Path

from tests.support.association_request import association_request


class Drippers:
    """So many connections that send a byte of a request every so often, and call again when cut off."""

    def __init__(self, port, number, *, sources=("127.0.0.2",), pause=1.0):
        self._port, self._sources, self._pause = port, cycle(sources), pause
        self._request = association_request(calling="STRANGER")
        self._ending = threading.Event()
        self._connections = []
        self.opened = 0
        for _ in range(number):
            self._call()
        self._thread = threading.Thread(target=self._drip, daemon=True)
        self._thread.start()

    def _call(self):
        with contextlib.suppress(OSError):
            connection = socket.create_connection(
                ("127.0.0.1", self._port), timeout=10, source_address=(next(self._sources), 0)
            )
            self._connections.append([connection, 0])
            self.opened += 1

    def _drip(self):
        while not self._ending.wait(self._pause):
            alive = []
            for connection, sent in self._connections:
                try:
                    connection.send(self._request[sent : sent + 1], socket.MSG_NOSIGNAL)
                    alive.append([connection, sent + 1])
                except OSError:
                    connection.close()
            lost, self._connections = len(self._connections) - len(alive), alive
            for _ in range(lost):
                if not self._ending.is_set():
                    self._call()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ending.set()
        self._thread.join()
        for connection, _ in self._connections:
            connection.close()


def claim(port, length, *, payload=0, source="127.0.0.2"):
    """Send the head of a request that claims ``length`` bytes, and up to ``payload`` of them.

    Returns how many bytes were taken until the other side had enough.
    """
    bytes_taken = 0
    connection = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0))
    with connection, contextlib.suppress(OSError):
        connection.sendall(struct.pack(">BBL", 1, 0, length))
        while bytes_taken < payload:
            bytes_taken += connection.send(bytes(65_536), socket.MSG_NOSIGNAL)
    return bytes_taken


def malformed(chance: random.Random, whole: bytes) -> bytes:
    """Return ``whole``, a unit or several, damaged in one of many ways."""
    data = bytearray(whole)
    kind = chance.randrange(7)
    if kind == 0:
        return bytes(chance.randbytes(chance.randrange(1, 200)))
    if kind == 1:
        return bytes(data[: chance.randrange(1, len(data))])
    if kind == 2:
        data[0] = chance.randrange(256)
    elif kind == 3:
        data[2:6] = struct.pack(">L", chance.choice((0, 1, 4, 65_535, 65_537, 2**31, 2**32 - 1)))
    elif kind == 4:
        start = chance.randrange(len(data))
        del data[start : start + chance.randrange(1, 40)]
    else:
        for _ in range(chance.randrange(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


def resident_bytes(pid):
    """Memory that the process ``pid`` has in use."""
    for line in Path("/proc", str(pid), "status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def threads(pid):
    """How many threads the process ``pid`` has."""
    return len(list(Path("/proc", str(pid), "task").iterdir()))


def wait_for(condition, seconds=30.0):
    """Wait until ``condition`` returns something true; return what it returned last."""
    deadline = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return value
