"""What was refused or dropped: classes when an association begins, objects once when it has ended."""

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

from scp.receiving.admission import OpenAssociation
from scp.receiving.dataset import UID_PATTERN
from storage import not_kept
from storage.database.engine import Database
from storage.errors import StorageError
from storage.not_kept import Kind
from storage.records import Refused

log = structlog.get_logger(__name__)

NO_UID: Final = "0.0"
"""Stands for a class whose UID is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusals:
    """Counts by association, peer and class what is not kept. Safe for use from many threads."""

    database: Database
    now: Callable[[], datetime]
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _counts: dict[OpenAssociation, Counter[Kind]] = field(default_factory=dict, init=False)

    def count(self, association: OpenAssociation, *, peer: str, sop_class_uid: str, reason: Refused) -> None:
        """Count one object that came over ``association``."""
        sop_class = sop_class_uid if UID_PATTERN.fullmatch(sop_class_uid) else NO_UID
        with self._lock:
            self._counts.setdefault(association, Counter())[peer, sop_class, reason] += 1

    def tell(self) -> None:
        """Log and write down what came over associations that have ended since the last call.

        What cannot be written down now is told next time.
        """
        with self._lock:
            ended = {
                association: counts
                for association, counts in self._counts.items()
                if not association.is_alive()
            }
        for association, counts in ended.items():
            try:
                with self.database.write() as tx:
                    not_kept.add(tx, counts, now=self.now())
            except StorageError as error:
                log.warning("what was not kept could not be counted, later again", reason=str(error))
                return
            with self._lock:
                del self._counts[association]
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
