"""Whose an arriving image is, and whether that contradicts what is kept: no result under another's name.

A correction comes from a peer that has sent images of the study before: it may give a kept image another
patient in the same study (a merge), or the same patient another study (which archives coerce). Any other
image that is kept under another patient, or that belongs to another patient's study, is a conflict.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select

from storage import history
from storage.database import schema
from storage.records import Arrival, Instance

_instances = schema.instances

REFUSED: Final = "refused: of another patient"


def contradicts(tx: Connection, kept: Instance | None, arrival: Arrival) -> bool:
    """Tell whether ``arrival``, kept as ``kept`` if at all, would change whose an image or a study is."""
    patient = arrival.patient_digest
    if patient is None:
        return False
    if kept is not None and kept.patient_digest not in (None, patient):
        return kept.study_uid != arrival.study_uid or not _has_sent(tx, arrival)
    moved = kept is None or kept.study_uid != arrival.study_uid
    return moved and bool(patients := _patients(tx, arrival.study_uid)) and patient not in patients


def note(tx: Connection, kept: Instance | None, arrival: Arrival, *, now: datetime) -> None:
    """Write the refusal into the history of the study that stands, once for each image and sender."""
    study_uid = arrival.study_uid if kept is None else kept.study_uid
    fields = {"sop_instance_uid": arrival.sop_instance_uid, "sender": arrival.source_ae}
    if not any(event.event == REFUSED and event.fields == fields for event in history.of(tx, study_uid)):
        history.append(tx, study_uid, REFUSED, now, **fields)


def _has_sent(tx: Connection, arrival: Arrival) -> bool:
    """Tell whether the sender is one of those that the study came from before."""
    sender = select(schema.senders).filter_by(study_uid=arrival.study_uid, ae_title=arrival.source_ae)
    return tx.execute(sender).first() is not None


def _patients(tx: Connection, study_uid: str) -> set[str]:
    """Return the patients of the study's kept images, as far as they are kept."""
    query = select(_instances.c.patient_digest).where(_instances.c.study_uid == study_uid).distinct()
    return {patient for patient in tx.execute(query).scalars() if patient is not None}
