"""What came over which association, for the audit trail: told when the association has ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset

from scp.auditing import transfers
from scp.auditing.trail import NO_TRAIL, Trail
from scp.auditing.transfers import Subject, Transfers
from scp.network.status import Refusal
from scp.receiving import dataset
from scp.receiving.admission import OpenAssociation
from storage.records import ArrivalOutcome

ACTIONS = {ArrivalOutcome.NEW: transfers.CREATED, ArrivalOutcome.HEADER_CHANGED: transfers.UPDATED}
"""What was done to the kept copies; for whatever else they stayed as they were."""


class _EnoughError(Exception):
    """Ends the reading of a file at its header."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Receptions:
    """Keeps the books of the associations that bring something. Safe for use from many threads."""

    trail: Trail = NO_TRAIL
    _open: dict[OpenAssociation, Transfers] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def keep(
        self,
        association: OpenAssociation,
        path: Path,
        *,
        peer: str,
        address: str,
        keep: Callable[[], ArrivalOutcome | None],
    ) -> ArrivalOutcome | None:
        """Return what ``keep`` returns for the file at ``path``; enter it. Raises what ``keep`` raises."""
        if not self.trail.on:
            return keep()
        subject = _subject(path)
        with self._lock:
            if association not in self._open:
                self._open[association] = Transfers(
                    trail=self.trail, peer=peer, address=address, incoming=True
                )
            entered = self._open[association]
        with entered.instance(subject) as instance:
            outcome = keep()
            instance.is_kept = True
            instance.action = transfers.HELD if outcome is None else ACTIONS.get(outcome, transfers.HELD)
        return outcome

    def tell(self) -> None:
        """Tell of the associations that have ended since the last call."""
        with self._lock:
            ended = [association for association in self._open if not association.is_alive()]
            closed = [self._open.pop(association) for association in ended]
        for entered in closed:
            entered.close()


def _subject(path: Path) -> Subject:
    """Return what the file at ``path`` is about, as far as it can be read."""
    headers: list[Dataset] = []

    def stop(header: Dataset) -> None:
        headers.append(header)
        raise _EnoughError

    try:
        dataset.read(path, stop)
    except _EnoughError:
        return transfers.subject(headers[0])
    except (Refusal, OSError):  # whoever keeps it reads it again, and says what is wrong
        return transfers.UNKNOWN
    return transfers.UNKNOWN
