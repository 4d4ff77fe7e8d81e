"""Real programs as peers: skipped on a laptop that lacks them, a failure where they are required (CI)."""

import os
import shutil
import socket
import sys
from pathlib import Path
from typing import NoReturn

import pytest


def require(program: str) -> str:
    """Return the path of ``program``; skip the test without it, fail where SECONDREAD_REQUIRE_PEERS=1."""
    beside = Path(sys.executable).parent / program
    found = str(beside) if beside.exists() else shutil.which(program)
    if found is None and Path("/usr/sbin", program).exists():
        found = str(Path("/usr/sbin", program))
    if found is None:
        missing(f"{program} is not installed")
    return found


def missing(reason: str) -> NoReturn:
    """Skip the test, or fail it where SECONDREAD_REQUIRE_PEERS=1: a skipped test has proven nothing."""
    if os.environ.get("SECONDREAD_REQUIRE_PEERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    """Return a TCP port that was free on loopback a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
