"""Pages of studies: found and counted without looking at what is on the other pages."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Integer, Select, cast, exists, func, select

from storage.database import schema
from storage.overview import search, studies
from storage.overview.search import Term
from storage.overview.studies import StudyOverview
from storage.states import LIVE, UNCOMMITTED, CommitmentState, DeliveryState, JobState

_studies = schema.studies

COUNTED: Final = 200
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
    complete: bool
    """False where the search has left out studies before the latest."""


def page(
    tx: Connection, *, term: Term | None = None, choice: Choice = Choice.ALL, offset: int, limit: int
) -> Page:
    """Return the studies from ``offset`` on that fit ``term``, if there is one, and ``choice``."""
    most = offset + limit + COUNTED
    matching = select(_studies.c.study_uid).where(search.has_image())
    complete = True
    if choice is not Choice.ALL:
        matching = matching.where(_studies.c.study_uid.in_(search.union_of(_chosen(choice))))
        if term is not None:
            matching = matching.where(search.fits(tx, term))
    elif term is not None:
        matches = search.find(tx, term, most=most + 1)
        matching, complete = matching.where(matches.condition), matches.complete
    latest_first = matching.order_by(*search.LATEST_FIRST)
    uids = tx.execute(latest_first.offset(offset).limit(limit + COUNTED + 1)).scalars().all()
    total = offset + len(uids)
    if offset and not uids:
        total = tx.execute(select(func.count()).select_from(matching.limit(offset).subquery())).scalar_one()
    return Page(
        studies=tuple(studies.overview(tx, among=uids[:limit])) if uids else (),
        total=min(total, most),
        more=total > most,
        complete=complete,
    )


def senders(tx: Connection, study_uids: Collection[str]) -> dict[str, list[str]]:
    """Return the AE titles that each of these studies came from."""
    table = schema.senders
    titles: dict[str, list[str]] = {uid: [] for uid in study_uids}
    query = select(table).where(table.c.study_uid.in_(study_uids)).order_by(table.c.ae_title)
    for row in tx.execute(query):
        titles[row.study_uid].append(row.ae_title)
    return titles


def patient_digests(tx: Connection, study_uids: Collection[str]) -> dict[str, str | None]:
    """Return by study the digest of its Patient ID, None where it is not known."""
    instances = schema.instances
    query = (
        select(instances.c.study_uid, func.max(instances.c.patient_digest).label("digest"))
        .where(instances.c.study_uid.in_(study_uids))
        .group_by(instances.c.study_uid)
    )
    return {row.study_uid: row.digest for row in tx.execute(query)}


def flags(tx: Connection, study_uids: Collection[str]) -> dict[str, dict[str | None, bool]]:
    """Return by study whether each breast is flagged, by laterality, as its reports in force state it.

    Studies without such a report are left out, as are those with reports of versions before 1.3.
    """
    reports, breasts = schema.reports, schema.breast_scores
    query = (
        select(reports.c.study_uid, breasts.c.laterality, func.max(cast(breasts.c.flagged, Integer)))
        .join(breasts, breasts.c.report_id == reports.c.id)
        .where(reports.c.study_uid.in_(study_uids), reports.c.current)
        .group_by(reports.c.study_uid, breasts.c.laterality)
        .order_by(breasts.c.laterality.desc())  # as images hang: right beside left
    )
    flagged: dict[str, dict[str | None, bool]] = {}
    for study_uid, laterality, flag in tx.execute(query):
        flagged.setdefault(study_uid, {})[laterality] = bool(flag)
    return flagged


def has_patient(tx: Connection, digest: str) -> bool:
    """Tell whether there are images of the patient whose Patient ID has this digest."""
    return bool(tx.execute(select(exists().where(schema.instances.c.patient_digest == digest))).scalar_one())


def _chosen(choice: Choice) -> list[Select[Any]]:
    """Return queries of the chosen: each asks the few rows in a state by index, and not each study."""
    match choice:
        case Choice.PARKED:
            return [
                _of_jobs(JobState.PARKED),
                _of_deliveries(DeliveryState.PARKED),
                _of_commitments(CommitmentState.PARKED),
            ]
        case Choice.WORKING:
            return [select(_studies.c.study_uid).where(_studies.c.changed), _of_jobs(*LIVE)]
        case Choice.OWED:
            return [_of_deliveries(DeliveryState.OWED)]
        case Choice.OPEN:
            parts = (Choice.PARKED, Choice.WORKING, Choice.OWED)
            return [*(query for part in parts for query in _chosen(part)), _of_commitments(*UNCOMMITTED)]
        case Choice.ALL:
            return [select(_studies.c.study_uid)]


def _of_jobs(*states: JobState) -> Select[Any]:
    jobs = schema.jobs
    return select(jobs.c.study_uid).where(jobs.c.state.in_(states))


def _of_deliveries(state: DeliveryState) -> Select[Any]:
    results, deliveries = schema.results, schema.deliveries
    return (
        select(results.c.study_uid)
        .join(deliveries, deliveries.c.sop_instance_uid == results.c.sop_instance_uid)
        .where(deliveries.c.state == state)
    )


def _of_commitments(*states: CommitmentState) -> Select[Any]:
    results, deliveries, commitments = schema.results, schema.deliveries, schema.commitments
    return (
        select(results.c.study_uid)
        .join(deliveries, deliveries.c.sop_instance_uid == results.c.sop_instance_uid)
        .join(commitments, commitments.c.delivery_id == deliveries.c.id)
        .where(commitments.c.state.in_(states))
    )
