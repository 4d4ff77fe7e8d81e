"""Words that a person types, as questions that take no longer when the history is longer.

Indices know whole UIDs, their beginnings, senders and patients. Where words stand elsewhere in a UID, and
where very many studies fit, the latest studies alone are looked through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, false, func, or_, select, union_all

from storage.database import columns, schema

_studies = schema.studies
_senders = schema.senders
_instances = schema.instances

LOOKED_THROUGH: Final = 5_000
"""The latest studies, looked through one by one: some milliseconds."""
MANY: Final = 500
"""Studies that an index gives at once; where more fit, the latest of them are what a person wants."""
LATEST_FIRST: Final = (_studies.c.last_at.desc(), _studies.c.study_uid)
_AFTER_DIGITS: Final = ":"
"""Comes after "." and all digits in the order of bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """What is looked for."""

    words: str
    """The beginning or another part of a Study Instance UID, or a part of a sender's AE title; not empty."""
    patients: tuple[str, str] | None = None
    """First and last digest of Patient IDs (`Arrival.patient_digest`) whose studies are found as well."""


@dataclass(frozen=True, slots=True)
class Matches:
    """The studies that fit."""

    condition: ColumnElement[bool]
    """On a row of `studies`."""
    complete: bool
    """False where studies before the latest were not looked through."""


def fits(tx: Connection, term: Term) -> ColumnElement[bool]:
    """Return the condition that a row of `studies` fits: for few, chosen by something else."""
    return or_(
        false(),  # without any condition `or_` would let all fit
        *_of_uid(term.words),
        *_of_senders(_titles(tx, term.words)),
        *([] if term.patients is None else [has_image(_instances.c.patient_digest.between(*term.patients))]),
    )


def find(tx: Connection, term: Term, *, most: int) -> Matches:
    """Return the studies that fit, of those looked through the ``most`` latest alone."""
    indexed: list[Select[Any]] = []
    looked_through: list[ColumnElement[bool]] = _of_uid(term.words)
    if looked_through:
        beginning = select(_studies.c.study_uid).where(
            _studies.c.study_uid >= term.words, _studies.c.study_uid < term.words + _AFTER_DIGITS
        )
        indexed += [beginning] if _is_narrow(tx, beginning) else []
    if titles := _titles(tx, term.words):
        sent = select(_senders.c.study_uid).where(_senders.c.ae_title.in_(titles))
        if _is_narrow(tx, sent):
            indexed.append(sent)
        else:
            looked_through += _of_senders(titles)
    if term.patients is not None:
        digests = _instances.c.patient_digest.between(*term.patients)
        indexed.append(select(_instances.c.study_uid).where(digests))
    if not looked_through:
        return Matches(_among(indexed), complete=True)
    left_out = select(_studies.c.last_at).order_by(_studies.c.last_at.desc()).offset(LOOKED_THROUGH).limit(1)
    since = tx.execute(left_out).scalar_one_or_none()
    condition = or_(*looked_through)
    if since is not None:
        condition = and_(_studies.c.last_at > since, condition)
    if indexed:
        # what is looked through ends with the last row that is wanted, before it is put beside the others
        latest = (
            select(_studies.c.study_uid).where(condition, has_image()).order_by(*LATEST_FIRST).limit(most)
        )
        condition = _among([latest, *indexed])
    return Matches(condition, complete=since is None)


def _among(queries: Sequence[Select[Any]]) -> ColumnElement[bool]:
    return _studies.c.study_uid.in_(union_of(queries))


def union_of(queries: Sequence[Select[Any]]) -> Select[Any]:
    """Return the query of all that ``queries`` for one column give, each of which has its own index."""
    if not queries:
        return select(_studies.c.study_uid).where(false())
    # a database takes an order and a limit inside a part alone, hence each is a subquery
    united = union_all(*(select(query.subquery()) for query in queries)).subquery()
    return select(united.c[0])


def has_image(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition that a row of `studies` has images, or any with these ``conditions``."""
    return exists().where(_instances.c.study_uid == _studies.c.study_uid, *conditions)


def _is_narrow(tx: Connection, query: Select[Any]) -> bool:
    number = tx.execute(select(func.count()).select_from(query.limit(MANY + 1).subquery())).scalar_one()
    return bool(number <= MANY)


def _titles(tx: Connection, words: str) -> list[str]:
    """Return the AE titles of which ``words`` are a part, in whatever case: there are few."""
    titles: list[str] = columns.distinct(tx, _senders.c.ae_title)
    return [title for title in titles if words.casefold() in title.casefold()]


def _of_uid(words: str) -> list[ColumnElement[bool]]:
    is_part = words.isascii() and all(letter.isdecimal() or letter == "." for letter in words)
    return [_studies.c.study_uid.contains(words)] if is_part else []


def _of_senders(titles: Sequence[str]) -> list[ColumnElement[bool]]:
    sent = exists().where(_senders.c.study_uid == _studies.c.study_uid, _senders.c.ae_title.in_(titles))
    return [sent] if titles else []
