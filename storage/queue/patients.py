"""Whose an arriving image is, and whether that contradicts what is kept: no result under another's name.

Each peer may name patient and study of a kept image as it does: its results say the same (`editions`). It is
a conflict only where nothing ties the image to what is kept: another study *and* another patient; or a second
patient in a study of the same peer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from storage import history
from storage.queue import copies
from storage.records import Arrival, Instance

REFUSED: Final = "refused: of another patient"


def contradicts(tx: Connection, instance: Instance | None, arrival: Arrival) -> bool:
    """Tell whether ``arrival``, kept as ``instance`` if at all, is another patient's than what is kept."""
    patient = arrival.patient_digest
    if patient is None:
        return False
    if instance is not None:
        of_image = copies.of_image(tx, arrival.sop_instance_uid).values()
        studies = {instance.study_uid, *(copy.study_uid for copy in of_image)}
        patients = {copy.patient_digest for copy in of_image} - {None}
        if arrival.study_uid not in studies and patients and patient not in patients:
            return True
        if arrival.study_uid in studies:
            return False
    patients_there = copies.patients_of(tx, arrival.source_ae, arrival.study_uid)
    return bool(patients_there) and patient not in patients_there


def note(tx: Connection, instance: Instance | None, arrival: Arrival, *, now: datetime) -> None:
    """Write the refusal into the history of the study that stands, once for each image and sender."""
    study_uid = arrival.study_uid if instance is None else instance.study_uid
    fields = {"sop_instance_uid": arrival.sop_instance_uid, "sender": arrival.source_ae}
    if not any(event.event == REFUSED and event.fields == fields for event in history.of(tx, study_uid)):
        history.append(tx, study_uid, REFUSED, now, **fields)
