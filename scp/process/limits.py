"""What this process may take and leave behind: memory and open files, and no core file."""

from __future__ import annotations

import ctypes
import gc
import os
import re
import resource
import sys
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger(__name__)

MEGABYTE: Final = 1_000_000
OPEN_FILES: Final = 8192
"""Enough for 1000 associations and all callers at two ports."""
_STATUS: Final = Path("/proc/self/status")
_DATA: Final = re.compile(r"^VmData:\s+(\d+) kB$", re.MULTILINE)
_PR_SET_DUMPABLE: Final = 4
"""The option of prctl(2), from linux/prctl.h; Python has no name for it."""


def forbid_core_files() -> None:
    """Let a crash of this process write no core file, and hand none to a program that collects them.

    A decoder may crash on a damaged image; a core file would hold headers and pixels of patients. A limit of
    nothing stops the file. Linux hands the core to a program all the same where ``core_pattern`` is a pipe
    (core(5)), unless the process is not dumpable (prctl(2)).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def raise_open_files() -> None:
    """Let this process open as many files as its user may, up to `OPEN_FILES`: each connection is one."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    number = OPEN_FILES if most == resource.RLIM_INFINITY else min(OPEN_FILES, most)
    if limit != resource.RLIM_INFINITY and limit < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, most))


def give_way(steps: int) -> None:
    """Let other processes of this machine compute first: ``steps`` more of nice(2), at most 19 in all.

    Receiving and the worker have a deadline outside, the sender's patience; who uploads a file can wait.
    """
    os.nice(steps)


def limit_memory(megabytes: int) -> None:
    """Let this process take at most ``megabytes`` of memory beyond what it has taken by now.

    More is a MemoryError: an image that wants more fails alone. Counted is what the process writes to
    (RLIMIT_DATA, setrlimit(2)), not address space: libraries reserve gigabytes of address space and never
    touch them. Only Linux tells how much data a process has; elsewhere there is no ceiling, and the log says
    so.
    """
    data = _data_bytes()
    if data is None:
        log.warning("memory of a job is not limited: this system does not tell how much is taken")
        return
    _, hard_limit = resource.getrlimit(resource.RLIMIT_DATA)
    ceiling = data + megabytes * MEGABYTE
    limit = ceiling if hard_limit == resource.RLIM_INFINITY else min(ceiling, hard_limit)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard_limit))


def _data_bytes() -> int | None:
    """Return the bytes of data, heap and private mappings of this process, None where nobody knows."""
    try:
        match = _DATA.search(_STATUS.read_text())
    except OSError:
        return None
    return None if match is None else int(match[1]) * 1024


def spare_loaded_modules() -> None:
    """Let the collector of garbage begin, and pass over what is loaded by now: modules, classes, tables.

    It would hold everything up for 0.03 s of processor time again and again: associations make thousands of
    objects.
    """
    gc.freeze()
    gc.enable()
