"""Whether two files hold the same pixels, decided in a process of its own.

A modality sends an image compressed, the PACS forwards it uncompressed: same UID, other bytes. Only
decoding tells, and a decoder that crashes on a crafted stream must not take the listener with it.
"""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Final

import numpy as np
import structlog

from inference.reading import decoding

log = structlog.get_logger(__name__)

TIME_LIMIT: Final = 60.0
"""Seconds; decoding the largest mammograms takes about one."""

EQUAL_PIXELS: Final = 0
UNDECODABLE: Final = 2
DIFFERENT: Final = 3
"""Exit codes. 1 is not among them: Python ends with it by itself, where the process cannot even begin."""


def same_pixels(first: Path, received: Path) -> bool:
    """Tell whether ``first`` and ``received`` decode to equal stored values; undecodable ones do not."""
    process = multiprocessing.get_context("spawn").Process(
        target=_compare, args=(first, received), daemon=True
    )
    process.start()
    process.join(TIME_LIMIT)
    if process.exitcode is None:
        process.kill()
        process.join()
    if process.exitcode not in (EQUAL_PIXELS, DIFFERENT):
        log.warning("pixels of two transfer syntaxes could not be compared", exit_code=process.exitcode)
    return process.exitcode == EQUAL_PIXELS


def _compare(first: Path, received: Path) -> None:
    try:
        equal = np.array_equal(decoding.read(first)[1], decoding.read(received)[1])
    except Exception as error:  # whatever a decoder may raise: it means that nobody knows
        # no trace: standard error is the node's log, and an exception may quote what it has read
        raise SystemExit(UNDECODABLE) from error
    raise SystemExit(EQUAL_PIXELS if equal else DIFFERENT)
