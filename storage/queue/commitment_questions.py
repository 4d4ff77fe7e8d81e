"""What peers asked us to commit ourselves to keep, until they have been told (PS3.4 J.3: we are the SCP).

A question is written down before it is accepted, so that a crash loses none. It is answered from what is kept
when the answer goes out; an image that was promised stays until its time, however full the disk is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, select, update

from storage import history
from storage.database import schema
from storage.queue import arrivals
from storage.records import Instance

_questions = schema.commitment_questions
_instances = schema.instances


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One request of a peer that is not answered yet."""

    peer: str
    transaction_uid: str
    sop_class_uids: tuple[str, ...]
    """As the peer names them; one for each of ``sop_instance_uids``."""
    sop_instance_uids: tuple[str, ...]
    asked_at: datetime
    attempts: int = 0
    """How often it could not be told."""


def ask(tx: Connection, question: Question, *, not_before: datetime) -> None:
    """Write ``question`` down; over a new association it is answered ``not_before`` that time.

    A Transaction UID that the peer uses again while the first is open asks anew.
    """
    tx.execute(delete(_questions).where(_is(question)))
    tx.execute(
        insert(_questions).values(
            peer=question.peer,
            transaction_uid=question.transaction_uid,
            sop_class_uids=question.sop_class_uids,
            sop_instance_uids=question.sop_instance_uids,
            asked_at=question.asked_at,
            attempts=question.attempts,
            not_before=not_before,
        )
    )


def open_of(tx: Connection, peer: str) -> int:
    """Return how many questions of ``peer`` are not answered yet."""
    return tx.execute(
        select(func.count()).select_from(_questions).where(_questions.c.peer == peer)
    ).scalar_one()


def due(tx: Connection, *, peer: str, now: datetime) -> list[Question]:
    """Return what ``peer`` should be told now, the oldest first."""
    query = select(_questions).where(_questions.c.peer == peer, _questions.c.not_before <= now)
    return [_question(row) for row in tx.execute(query.order_by(_questions.c.asked_at))]


def due_peers(tx: Connection, *, now: datetime) -> list[str]:
    """Return the peers that should be told something now, in alphabetical order."""
    query = select(_questions.c.peer).where(_questions.c.not_before <= now).distinct()
    return sorted(tx.execute(query).scalars())


def instances(tx: Connection, question: Question) -> dict[str, Instance]:
    """Return by SOP Instance UID those instances of ``question`` that are kept."""
    candidates = (arrivals.find(tx, uid) for uid in dict.fromkeys(question.sop_instance_uids))
    return {instance.sop_instance_uid: instance for instance in candidates if instance is not None}


def promise(tx: Connection, instances: Sequence[Instance], *, peer: str, now: datetime) -> None:
    """Note that ``peer`` is told that ``instances`` are kept: from now on it may delete its own."""
    for instance in instances:
        tx.execute(
            update(_instances)
            .where(_instances.c.sop_instance_uid == instance.sop_instance_uid)
            .values(promised_at=now)
        )
    for study_uid in sorted({instance.study_uid for instance in instances}):
        number = sum(instance.study_uid == study_uid for instance in instances)
        history.append(tx, study_uid, "images committed", now, peer=peer, images=number)


def again(tx: Connection, question: Question, *, not_before: datetime) -> None:
    """Note that the peer could not be told, and when it is tried again."""
    later = {"attempts": question.attempts + 1, "not_before": not_before}
    tx.execute(update(_questions).where(_is(question)).values(**later))


def close(tx: Connection, questions: Collection[Question]) -> None:
    """Forget ``questions``: the peer was told, or nobody tries any more."""
    for question in questions:
        tx.execute(delete(_questions).where(_is(question)))


def _is(question: Question) -> ColumnElement[bool]:
    return and_(_questions.c.peer == question.peer, _questions.c.transaction_uid == question.transaction_uid)


def _question(row: Row[Any]) -> Question:
    return Question(
        peer=row.peer,
        transaction_uid=row.transaction_uid,
        sop_class_uids=row.sop_class_uids,
        sop_instance_uids=row.sop_instance_uids,
        asked_at=row.asked_at,
        attempts=row.attempts,
    )
