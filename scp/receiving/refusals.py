"""What was refused or dropped: classes when an association begins, objects when it ends, calls by a tick."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog
from pydicom.uid import UID
from pynetdicom.association import Association

from scp.configuration.settings import Settings
from scp.receiving.admission import OpenAssociation
from scp.receiving.dataset import UID_PATTERN
from storage import refusals
from storage.database.engine import Database
from storage.errors import StorageError
from storage.refusals import Kind
from storage.refused import Refused

log = structlog.get_logger(__name__)

NO_UID: Final = "0.0"
"""Stands for a class whose UID is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusals:
    """Counts objects by association, peer and class, and calls by peer. Safe for use from many threads."""

    database: Database
    now: Callable[[], datetime]
    settings: Settings
    """Knows the peers: other callers are not counted by the names that they choose."""
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _counts: dict[OpenAssociation | None, Counter[Kind]] = field(default_factory=dict, init=False)
    """By association; of None what came to none."""

    def count(self, association: OpenAssociation, *, peer: str, sop_class_uid: str, reason: Refused) -> None:
        """Count one object that came over ``association``."""
        sop_class = sop_class_uid if UID_PATTERN.fullmatch(sop_class_uid) else NO_UID
        with self._lock:
            self._counts.setdefault(association, Counter())[peer, sop_class, reason] += 1

    def count_call(self, reason: Refused, calling_ae: str = refusals.NO_PEER) -> None:
        """Count one association, connection or request that was refused."""
        peer = refusals.NO_PEER if self.settings.peer(calling_ae) is None else calling_ae
        with self._lock:
            self._counts.setdefault(None, Counter())[peer, refusals.NO_CLASS, reason] += 1

    def tell(self) -> None:
        """Write down what was refused since the last call; log the objects of associations that have ended.

        What cannot be written down now is told next time.
        """
        with self._lock:
            ended = [entry for entry in self._counts if entry is None or not entry.is_alive()]
            counted = {entry: self._counts.pop(entry) for entry in ended}
        if not counted:
            return
        try:
            with self.database.write() as tx:
                refusals.add(tx, sum(counted.values(), Counter()), now=self.now())
        except StorageError as error:
            log.warning("what was refused could not be counted, later again", reason=str(error))
            with self._lock:
                for entry, counts in counted.items():
                    self._counts.setdefault(entry, Counter()).update(counts)
            return
        for entry, counts in counted.items():
            if entry is not None:
                _log(counts)


def tell_refused_classes(association: Association, *, peer: str) -> None:
    """Log what ``peer`` asked for in vain: queries, for example, or images in no transfer syntax of ours."""
    accepted = {str(context.abstract_syntax) for context in association.accepted_contexts}
    refused = {str(context.abstract_syntax) for context in association.rejected_contexts} - accepted
    if refused:
        log.warning(
            "peer asks for what this node does not do"
            if accepted
            else "peer asks for nothing that this node does",
            classes=", ".join(sorted(UID(uid).name for uid in refused)),
            peer=peer,
        )


def _log(counts: Counter[Kind]) -> None:
    """Write one line for each reason; an association has one peer."""
    for reason in Refused:
        kinds = {kind: number for kind, number in counts.items() if kind[2] is reason}
        if kinds:
            classes = {UID(sop_class).name: number for (_, sop_class, _), number in kinds.items()}
            write = log.info if reason is Refused.DROPPED else log.warning
            write(
                f"objects {reason.words}",
                peer=next(iter(kinds))[0],
                objects=sum(classes.values()),
                classes=", ".join(f"{name}: {number}" for name, number in sorted(classes.items())),
            )
