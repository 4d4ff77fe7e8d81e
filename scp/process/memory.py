"""How a process takes memory, and what it does with it when freed: a worker keeps it, others return it.

The C library asks the system for each array of the size of a mammogram, and returns it when the array goes.
Linux clears each page again when it is first written to: a quarter of a worker's processor time.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

# malloc.h of glibc; Python has no names for them
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_LARGEST: Final = 1 << 30
"""Bytes: larger than any array of an image."""
_LARGEST_BEFORE_2_35: Final = 1 << 25
"""Bytes: the largest threshold that glibc takes before its version 2.35."""

_LARGE: Final = 1 << 20
"""Bytes: less than a picture that is sent, more than a buffer for protocol data units."""


def ask_for_huge_pages() -> None:
    """Let all processes that this one starts ask Linux for pages of two megabytes, where their arrays fit.

    Activations of a network fill some 20,000 ordinary pages, more than a processor keeps addresses of: it
    would look most of them up again for each layer. glibc asks from its version 2.35 on (malloc's tunable
    ``glibc.malloc.hugetlb``) and reads the wish when a program begins, so this process does not change. To be
    called before there are threads. What the environment says already stays.
    """
    os.environ.setdefault("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")


def keep_none() -> None:
    """Let this process return what an object took as soon as the object is gone.

    Of itself glibc keeps what has been freed, in an arena for each of many threads: a process that sends
    results grew for hours. Where the C library is not glibc nothing changes.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_M_ARENA_MAX, 2)


def keep() -> None:
    """Let this process keep the memory that it has taken, for what it takes next.

    Where the C library is not glibc nothing changes.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        if not library.mallopt(_M_MMAP_THRESHOLD, _LARGEST):
            library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_BEFORE_2_35)
        library.mallopt(_M_TRIM_THRESHOLD, _LARGEST)
        library.mallopt(_M_ARENA_MAX, 1)  # a thread's own would return what is large


def give_back() -> None:
    """Return to the system what this process has kept and does not use (malloc_trim(3))."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
