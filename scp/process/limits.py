"""A ceiling for the memory of this process: an image that wants more fails alone, and takes nobody along."""

from __future__ import annotations

import re
import resource
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger(__name__)

MEGABYTE: Final = 1_000_000
_STATUS: Final = Path("/proc/self/status")
_DATA: Final = re.compile(r"^VmData:\s+(\d+) kB$", re.MULTILINE)


def leave(megabytes: int) -> None:
    """Let this process take at most ``megabytes`` of memory beyond what it has taken by now.

    More is a MemoryError. Counted is what it writes to (RLIMIT_DATA, setrlimit(2)), not address space:
    libraries reserve gigabytes of that which they never touch. Only Linux tells how much that is; elsewhere
    there is no ceiling, and the log says so.
    """
    taken = _taken()
    if taken is None:
        log.warning("memory of a job is not limited: this system does not tell how much is taken")
        return
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = taken + megabytes * MEGABYTE
    resource.setrlimit(
        resource.RLIMIT_DATA, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most)
    )


def _taken() -> int | None:
    """Return the bytes of data, heap and private mappings of this process, None where nobody knows."""
    try:
        found = _DATA.search(_STATUS.read_text())
    except OSError:
        return None
    return None if found is None else int(found[1]) * 1024
