"""Pages of studies: found and counted without looking at what is on the other pages."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import ColumnElement, Connection, Exists, exists, func, or_, select

from storage.database import schema
from storage.overview import studies
from storage.overview.studies import StudyOverview
from storage.states import LIVE, UNCOMMITTED, CommitmentState, DeliveryState, JobState

_studies = schema.studies

COUNTED: Final = 500
"""Studies that are counted beyond a page: nobody turns so many pages, and each costs a look at its images."""


class Choice(StrEnum):
    """Which studies a page is made of."""

    ALL = "all"
    PARKED = "parked"
    """A job, a delivery or a commitment needs a person."""
    WORKING = "working"
    """Images are to be analysed, or the study is to be reported."""
    OWED = "owed"
    """Results are still to be sent."""
    OPEN = "open"
    """Any of these, or results are sent whose destination has not said yet that it keeps them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One page of studies, the latest alive first."""

    studies: tuple[StudyOverview, ...]
    total: int
    """On all pages together, counted to `COUNTED` beyond this one at most."""
    more: bool
    """Whether there are more than these."""


def page(
    tx: Connection,
    *,
    words: str = "",
    patients: Collection[str] = (),
    choice: Choice = Choice.ALL,
    offset: int,
    limit: int,
) -> Page:
    """Return the studies from ``offset`` on.

    Parameters
    ----------
    words
        A part of the Study Instance UID or of a sender's AE title; "" finds all.
    patients
        Digests of Patient IDs (`Arrival.patient_digest`) whose studies are found as well.
    """
    matching = select(_studies.c.study_uid).where(
        _has_images(), *_conditions(words, patients), *_chosen(choice)
    )
    most = offset + limit + COUNTED
    counted = select(func.count()).select_from(matching.limit(most + 1).subquery())
    total = int(tx.execute(counted).scalar_one())
    ordered = matching.order_by(_studies.c.last_at.desc(), _studies.c.study_uid)
    uids = tx.execute(ordered.offset(offset).limit(limit)).scalars().all()
    return Page(
        studies=tuple(studies.overview(tx, among=uids)) if uids else (),
        total=min(total, most),
        more=total > most,
    )


def senders(tx: Connection, study_uids: Collection[str]) -> dict[str, list[str]]:
    """Return the AE titles that each of these studies came from."""
    table = schema.senders
    titles: dict[str, list[str]] = {uid: [] for uid in study_uids}
    query = select(table).where(table.c.study_uid.in_(study_uids)).order_by(table.c.ae_title)
    for row in tx.execute(query):
        titles[row.study_uid].append(row.ae_title)
    return titles


def patient_digests(tx: Connection, study_uids: Collection[str] | None = None) -> dict[str, str | None]:
    """Return by study the digest of its Patient ID, None where it is not known; of all studies by default."""
    instances = schema.instances
    query = select(instances.c.study_uid, func.max(instances.c.patient_digest).label("digest")).group_by(
        instances.c.study_uid
    )
    if study_uids is not None:
        query = query.where(instances.c.study_uid.in_(study_uids))
    return {row.study_uid: row.digest for row in tx.execute(query)}


def has_patient(tx: Connection, digest: str) -> bool:
    """Tell whether there are images of the patient whose Patient ID has this digest."""
    return bool(tx.execute(select(exists().where(schema.instances.c.patient_digest == digest))).scalar_one())


def _conditions(words: str, patients: Collection[str]) -> list[ColumnElement[bool]]:
    if not words:
        return []
    sender = exists().where(
        schema.senders.c.study_uid == _studies.c.study_uid,
        schema.senders.c.ae_title.icontains(words, autoescape=True),
    )
    conditions: list[ColumnElement[bool]] = [_studies.c.study_uid.contains(words, autoescape=True), sender]
    if patients:
        instances = schema.instances
        conditions.append(
            exists().where(
                instances.c.study_uid == _studies.c.study_uid, instances.c.patient_digest.in_(patients)
            )
        )
    return [or_(*conditions)]


def _chosen(choice: Choice) -> list[ColumnElement[bool]]:
    """Return what the chosen have in common, asked of the few rows in a state and not of each study."""
    match choice:
        case Choice.ALL:
            return []
        case Choice.PARKED:
            parked = or_(
                _job_in(JobState.PARKED),
                _delivery_in(DeliveryState.PARKED),
                _commitment_in(CommitmentState.PARKED),
            )
            return [parked]
        case Choice.WORKING:
            return [or_(_studies.c.changed, _job_in(*LIVE))]
        case Choice.OWED:
            return [_delivery_in(DeliveryState.OWED)]
        case Choice.OPEN:
            parts = (Choice.PARKED, Choice.WORKING, Choice.OWED)
            conditions = [condition for part in parts for condition in _chosen(part)]
            return [or_(*conditions, _commitment_in(*UNCOMMITTED))]


def _has_images() -> Exists:
    return exists().where(schema.instances.c.study_uid == _studies.c.study_uid)


def _job_in(*states: JobState) -> ColumnElement[bool]:
    jobs = schema.jobs
    return _studies.c.study_uid.in_(select(jobs.c.study_uid).where(jobs.c.state.in_(states)))


def _delivery_in(state: DeliveryState) -> ColumnElement[bool]:
    results, deliveries = schema.results, schema.deliveries
    return _studies.c.study_uid.in_(
        select(results.c.study_uid)
        .join(deliveries, deliveries.c.sop_instance_uid == results.c.sop_instance_uid)
        .where(deliveries.c.state == state)
    )


def _commitment_in(*states: CommitmentState) -> ColumnElement[bool]:
    results, deliveries, commitments = schema.results, schema.deliveries, schema.commitments
    return _studies.c.study_uid.in_(
        select(results.c.study_uid)
        .join(deliveries, deliveries.c.sop_instance_uid == results.c.sop_instance_uid)
        .join(commitments, commitments.c.delivery_id == deliveries.c.id)
        .where(commitments.c.state.in_(states))
    )
