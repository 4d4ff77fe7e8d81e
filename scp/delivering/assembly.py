"""All that delivers and speaks of what was delivered, put together: for a node and for the role of that."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from pynetdicom import evt

from scp.auditing.trail import Trail
from scp.configuration.settings import Settings
from scp.delivering.commitment_answer import CommitmentAnswers
from scp.delivering.commitment_report import Reports
from scp.delivering.commitment_request import CommitmentRequester
from scp.delivering.dispatcher import Dispatcher
from scp.delivering.sender import Sender
from storage.database.engine import Database
from storage.files.archive import Archive


@dataclass(frozen=True, kw_only=True, slots=True)
class Commitment:
    """What a listener calls for the sake of storage commitment."""

    reports: Reports
    answers: CommitmentAnswers

    @property
    def handlers(self) -> tuple[evt.EventHandlerType, ...]:
        """Of a listener's associations."""
        return (*self.reports.handlers, *self.answers.handlers)


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivering:
    """The dispatcher, and what a listener beside it calls."""

    dispatcher: Dispatcher
    commitment: Commitment


def commitment(settings: Settings, database: Database, archive: Archive) -> Commitment:
    """Put together what a listener calls, wherever that is."""
    now, jitter = database.now, random.random
    return Commitment(
        reports=Reports(settings=settings, database=database, now=now, jitter=jitter),
        answers=CommitmentAnswers(
            settings=settings, database=database, archive=archive, now=now, jitter=jitter
        ),
    )


def assemble(
    settings: Settings,
    database: Database,
    archive: Archive,
    trail: Trail,
    may_send: Callable[[], bool] = lambda: True,
) -> Delivering:
    """Put it together; ``may_send`` tells whether it is still for this process to speak to peers."""
    now, jitter = database.now, random.random
    called = commitment(settings, database, archive)
    dispatcher = Dispatcher(
        database=database,
        sender=Sender(
            settings=settings,
            database=database,
            archive=archive,
            now=now,
            jitter=jitter,
            trail=trail,
            may_send=may_send,
        ),
        commitment_requester=CommitmentRequester(
            settings=settings,
            database=database,
            reports=called.reports,
            now=now,
            jitter=jitter,
            new_uid=_new_uid,
            may_send=may_send,
        ),
        commitment_answers=called.answers,
        now=now,
        may_send=may_send,
    )
    return Delivering(dispatcher=dispatcher, commitment=called)


def _new_uid() -> str:
    """Return a UID that nobody had before (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid4().int}"
