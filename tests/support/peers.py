"""Real programs as peers: skipped on a laptop that lacks them, a failure where they are required (CI)."""

import contextlib
import os
import random
import shutil
import socket
import sys
from pathlib import Path
from typing import NoReturn

import pytest

_CHANCE = random.SystemRandom()
"""No test fixes its seed: two processes with the same seed would draw the same ports."""


def require(program: str) -> str:
    """Return the path of ``program``; skip the test without it, fail where SECONDREAD_REQUIRE_PEERS=1."""
    beside = Path(sys.executable).parent / program
    path = str(beside) if beside.exists() else shutil.which(program)
    if path is None and Path("/usr/sbin", program).exists():
        path = str(Path("/usr/sbin", program))
    if path is None:
        missing(f"{program} is not installed")
    return path


def missing(reason: str) -> NoReturn:
    """Skip the test, or fail it where SECONDREAD_REQUIRE_PEERS=1: a skipped test has proven nothing."""
    if os.environ.get("SECONDREAD_REQUIRE_PEERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    """Return a TCP port that was free on loopback a moment ago, below those that the system gives to clients.

    Tests beside this one in other processes, and their connections, do not take it meanwhile.
    """
    while True:
        port = _CHANCE.randrange(10_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
