"""The transfers of one association: when the first instance of a study begins, and what became of all."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from pydicom.dataset import Dataset

from inference.reading import attributes
from scp.auditing import messages
from scp.auditing.messages import Outcome, Party, Study
from scp.auditing.trail import Trail

CREATED: Final = "C"
"""The receiver had no copy (PS3.15 A.5.3.7)."""
UPDATED: Final = "U"
"""It has changed its copy."""
HELD: Final = "R"
"""It had the same already, or nobody knows whether it had."""
STUDIES: Final = 50
"""In one message: it fits into a datagram so."""

_Group = tuple[str, str, Outcome]
"""Patient ID, action and outcome: what one message can hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What one instance is about."""

    patient_id: str
    study_uid: str
    sop_class: str


UNKNOWN: Final = Subject(patient_id="", study_uid="", sop_class="")
"""What could not be read."""


def subject(header: Dataset) -> Subject:
    """Return what the instance with ``header`` is about."""
    return Subject(
        patient_id=attributes.text(header, "PatientID"),
        study_uid=attributes.text(header, "StudyInstanceUID"),
        sop_class=attributes.text(header, "SOPClassUID"),
    )


@dataclass(kw_only=True, slots=True)
class Instance:
    """What became of one instance: nothing, until somebody says so."""

    is_kept: bool = False
    action: str = HELD


@dataclass(frozen=True, kw_only=True)
class Transfers:
    """Collects, and tells when the association has ended. Safe for use from many threads."""

    trail: Trail
    peer: str
    address: str
    incoming: bool
    """Whether the peer sends and this node receives."""
    _known_studies: set[tuple[str, str]] = field(default_factory=set, init=False)
    _counts: dict[_Group, dict[str, Counter[str]]] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    @contextmanager
    def instance(self, subject: Subject) -> Iterator[Instance]:
        """Enter one instance: that its study begins, where it is the first, and what becomes of it inside."""
        entered = Instance()
        if not self.trail.on:
            yield entered
            return
        self._begin(subject)
        try:
            yield entered
        finally:
            group = (
                subject.patient_id,
                entered.action,
                Outcome.SUCCESS if entered.is_kept else Outcome.MINOR_FAILURE,
            )
            with self._lock:
                studies = self._counts.setdefault(group, {})
                studies.setdefault(subject.study_uid, Counter())[subject.sop_class] += 1

    def close(self) -> None:
        """Tell what became of all of them."""
        with self._lock:
            counts = dict(self._counts)
            self._counts.clear()
        for (patient_id, action, outcome), by_study in counts.items():
            studies = [Study(study_uid=uid, instances=numbers) for uid, numbers in sorted(by_study.items())]
            for batch in (studies[at : at + STUDIES] for at in range(0, len(studies), STUDIES)):
                self.trail.transferred(self._parties(), batch, patient_id, action=action, outcome=outcome)

    def _begin(self, subject: Subject) -> None:
        key = subject.patient_id, subject.study_uid
        with self._lock:
            if key in self._known_studies:
                return
            self._known_studies.add(key)
        study = Study(study_uid=subject.study_uid, instances={})
        self.trail.transferring(self._parties(), study, subject.patient_id)

    def _parties(self) -> list[Party]:
        own_role = messages.DESTINATION if self.incoming else messages.SOURCE
        peer_role = messages.SOURCE if self.incoming else messages.DESTINATION
        peer = Party(
            user_id=self.peer,
            requestor=self.incoming,
            ae_title=self.peer,
            address=self.address,
            role=peer_role,
        )
        return [peer, self.trail.this_process(requestor=not self.incoming, role=own_role)]
