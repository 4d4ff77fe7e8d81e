"""No core files: a decoder may crash on a damaged image, and what it leaves would hold headers and pixels."""

from __future__ import annotations

import ctypes
import resource
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def forbid() -> None:
    """Let a crash of this process write no core file, and hand none to a program that collects them.

    A limit of nothing stops the file. Linux hands the core to a program all the same where ``core_pattern``
    is a pipe (core(5)), unless the process is not dumpable (prctl(2)).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
