"""Lets the disk begin with what was written of a file, so that the sync at its end has little to wait for."""

from __future__ import annotations

import ctypes
from typing import Final

_WRITE: Final = 2
"""SYNC_FILE_RANGE_WRITE: begin to write dirty pages, wait for none (sync_file_range(2))."""
_SYNC_FILE_RANGE: Final = getattr(ctypes.CDLL(None), "sync_file_range", None)
"""The call of Linux, which Python has no name for. It promises nothing: the sync at the end does."""
if _SYNC_FILE_RANGE is not None:
    _SYNC_FILE_RANGE.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def begin(descriptor: int, start: int, size: int) -> None:
    """Begin to write ``size`` bytes of the file from ``start`` on; where that fails, the sync says why."""
    if _SYNC_FILE_RANGE is not None:
        _SYNC_FILE_RANGE(descriptor, start, size, _WRITE)
