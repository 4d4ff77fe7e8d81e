"""How many threads a worker computes with: for its network, and for the pictures of a report."""

from __future__ import annotations

from typing import Final

from scp.configuration.settings import Settings
from scp.process import limits, threads

_PICTURES: Final = 4
"""Threads that draw the pictures of a report, at most: a study has as many."""
_BYTES: Final = 18
"""Memory of a picture while it is drawn and embedded, or written to its file, in bytes for each pixel of
``sc_max_side`` squared (measured when this was introduced)."""


def of_network(settings: Settings) -> int:
    """Return how many threads compute for each worker's network: all together, one for each processor.

    More wait for each other, by computing; the bits are the same.
    """
    return max(1, threads.processors() // settings.worker.processes)


def of_report(settings: Settings) -> int:
    """Return how many pictures of a report are drawn at a time: they take half of a job's memory at most.

    The other half is for what stays until the report is complete.
    """
    picture = _BYTES * settings.outputs.sc_max_side**2
    fitting = settings.worker.job_memory_mb * limits.MEGABYTE // (2 * picture)
    return max(1, min(threads.processors(), _PICTURES, fitting))
