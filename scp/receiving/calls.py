"""Who asks for associations: counted in memory while it happens, written down by a tick."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import structlog

from scp.receiving.admission import Decision, Request
from storage import calls
from storage.calls import Calls
from storage.database.engine import Database
from storage.errors import StorageError

log = structlog.get_logger(__name__)

MOST: Final = 500
"""Callers between two ticks; of more only the log knows: who tries titles by the thousand fills no memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CallCounts:
    """Counts by caller what became of its requests. Safe for use from many threads."""

    database: Database
    now: Callable[[], datetime]
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _counts: dict[tuple[str, str], Calls] = field(default_factory=dict, init=False)

    def count(self, request: Request, decision: Decision) -> None:
        """Count one request for an association and its answer."""
        key = request.calling_ae, request.address
        with self._lock:
            if key not in self._counts and len(self._counts) >= MOST:
                return
            so_far = self._counts.get(key) or _none_yet(request)
            if decision.refused is None:
                grown = replace(so_far, admitted=so_far.admitted + 1, admitted_at=self.now())
            else:
                grown = replace(
                    so_far, rejected=so_far.rejected + 1, rejected_at=self.now(), reason=decision.reason
                )
            self._counts[key] = grown

    def write_down(self) -> None:
        """Write the counts down. What cannot be written now is written next time."""
        with self._lock:
            counts = dict(self._counts)
        if not counts:
            return
        try:
            with self.database.write() as tx:
                calls.add(tx, counts.values())
        except StorageError as error:
            log.warning("callers could not be written down, later again", reason=str(error))
            return
        with self._lock:
            for key, written in counts.items():
                self._forget(key, written)

    def _forget(self, key: tuple[str, str], written: Calls) -> None:
        """Take what is written down from what is counted; more may have come meanwhile."""
        now = self._counts.pop(key)
        if now != written:
            self._counts[key] = replace(
                now, admitted=now.admitted - written.admitted, rejected=now.rejected - written.rejected
            )


def _none_yet(request: Request) -> Calls:
    return Calls(
        calling_ae=request.calling_ae,
        address=request.address,
        admitted=0,
        admitted_at=None,
        rejected=0,
        rejected_at=None,
        reason=None,
    )
