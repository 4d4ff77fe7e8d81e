"""What each peer said of a kept image: whose it is there, and in which study. The image is kept once."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, insert, select, true, update

from storage.database import schema
from storage.records import Arrival, Copy

_copies = schema.copies
_instances = schema.instances

# What every arriving image asks and writes is stated once: to state it anew takes longer than to do it.
_ADD: Final = insert(_copies)
_KEPT_IN: Final = select(_instances.c.study_uid).where(_instances.c.sop_instance_uid == bindparam("image"))
_PATIENTS_OF_STUDY: Final = (
    select(func.count(_copies.c.patient_digest.distinct()))
    .join(_instances, _instances.c.sop_instance_uid == _copies.c.sop_instance_uid)
    .where(_instances.c.study_uid == _KEPT_IN.scalar_subquery())
)
_IDENTITY_FILE: Final = (
    select(_copies.c.identity)
    .where(_copies.c.study_digest == bindparam("digest"), _copies.c.identity.is_not(None))
    .limit(1)
)
_PATIENTS_OF_PEER: Final = (
    select(_copies.c.patient_digest)
    .where(_copies.c.ae_title == bindparam("peer"), _copies.c.study_uid == bindparam("study"))
    .distinct()
)


def of_image(tx: Connection, sop_instance_uid: str) -> dict[str, Copy]:
    """Return the copies of one image, by the AE title of their sender."""
    rows = tx.execute(select(_copies).where(_copies.c.sop_instance_uid == sop_instance_uid))
    return {row.ae_title: Copy(**row._mapping) for row in rows}  # noqa: SLF001 - public API of SQLAlchemy


def of_study(tx: Connection, study_uid: str) -> list[Copy]:
    """Return the copies of the images that are kept in the study, by image and sender."""
    instances = schema.instances
    rows = tx.execute(
        select(_copies)
        .join(instances, instances.c.sop_instance_uid == _copies.c.sop_instance_uid)
        .where(instances.c.study_uid == study_uid)
        .order_by(_copies.c.sop_instance_uid, _copies.c.ae_title)
    )
    return [Copy(**row._mapping) for row in rows]  # noqa: SLF001 - as above


def of_arrival(arrival: Arrival, identity: str | None) -> Copy:
    """Return what ``arrival`` says; ``identity`` is the file of its patient and study."""
    return Copy(
        sop_instance_uid=arrival.sop_instance_uid,
        ae_title=arrival.source_ae,
        study_uid=arrival.study_uid,
        series_uid=arrival.series_uid,
        header_digest=arrival.header_digest,
        study_digest=None if arrival.description is None else arrival.description.study_digest,
        patient_digest=arrival.patient_digest,
        identity=identity,
    )


def write(tx: Connection, copy: Copy) -> None:
    """Keep ``copy`` as what its sender says of the image; what it said before is removed."""
    key = {"sop_instance_uid": copy.sop_instance_uid, "ae_title": copy.ae_title}
    tx.execute(delete(_copies).filter_by(**key))
    add(tx, copy)


def add(tx: Connection, copy: Copy) -> None:
    """Keep ``copy`` as the first that its sender says of the image."""
    tx.execute(_ADD, {name: getattr(copy, name) for name in Copy.__dataclass_fields__})
    mark_several_patients(tx, copy.sop_instance_uid)


def mark_several_patients(tx: Connection, sop_instance_uid: str) -> None:
    """Mark the study in which the image is kept where copies of its images name several patients."""
    studies, image = schema.studies, {"image": sop_instance_uid}
    if tx.execute(_PATIENTS_OF_STUDY, image).scalar_one() > 1:
        tx.execute(
            update(studies)
            .where(studies.c.study_uid == _KEPT_IN.scalar_subquery())
            .values(several_patients=true()),
            image,
        )


def complete(tx: Connection, copy: Copy, *, study_digest: str, patient_digest: str, identity: str) -> None:
    """Write down what a version before 1.3 did not; nothing where another copy has come since."""
    tx.execute(
        update(_copies)
        .filter_by(sop_instance_uid=copy.sop_instance_uid, ae_title=copy.ae_title, identity=None)
        .values(study_digest=study_digest, patient_digest=patient_digest, identity=identity)
    )
    mark_several_patients(tx, copy.sop_instance_uid)


def identity_file(tx: Connection, study_digest: str) -> str | None:
    """Return the file that holds the patient and study of this digest; None where there is none."""
    file: str | None = tx.execute(_IDENTITY_FILE, {"digest": study_digest}).scalar_one_or_none()
    return file


def names(tx: Connection, identity: str) -> bool:
    """Tell whether a row names this file of patient and study."""
    return tx.execute(select(_copies.c.ae_title).filter_by(identity=identity).limit(1)).first() is not None


def patients_of(tx: Connection, ae_title: str, study_uid: str) -> set[str]:
    """Return the patients whose images this peer sent in its study, as far as they are written down."""
    patients = tx.execute(_PATIENTS_OF_PEER, {"peer": ae_title, "study": study_uid}).scalars()
    return {patient for patient in patients if patient is not None}
