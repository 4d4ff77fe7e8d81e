"""What needs a person now, in sentences that name no patient, no study and no words of a peer."""

from __future__ import annotations

import itertools
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from scp import archives
from scp.configuration.settings import Settings
from scp.network import tls_files
from scp.network.tls import FilesError
from scp.network.tls_files import SOON, Certificate
from storage import refusals
from storage.database.engine import Database
from storage.errors import StorageError
from storage.overview import attention
from storage.queue import commitments, deliveries, jobs
from storage.records import RefusedCalls
from storage.refusals import NO_PEER
from storage.refused import Refused, Subject
from storage.states import CommitmentState, DeliveryState, JobState

MEGABYTE: Final = 1_000_000
LOW: Final = 1.25
"""Below so many disk reserves it is low. At 1.5 delivered studies go early: here none is left that may go."""
REFUSALS: Final = 10
"""So many refused calls within `REFUSED_WITHIN` are more than a mistake that somebody is mending."""
REFUSED_WITHIN: Final = timedelta(hours=1)
MISTAKES: Final = frozenset({Refused.TLS, Refused.WRONG_PORT, Refused.NO_TOKEN})
"""What somebody has to mend, beside rejected associations; other calls that come to nothing are probes."""


class Kind(StrEnum):
    """Kinds of conditions, by the word that a webhook gets."""

    DATABASE = "database"
    DISK = "disk"
    BUCKET = "bucket"
    """Files are kept there, and it cannot be used."""
    CERTIFICATE = "certificate"
    PEER = "peer"
    """It takes nothing of what it is owed."""
    DELIVERIES = "deliveries"
    COMMITMENTS = "commitments"
    JOBS = "jobs"
    REFUSALS = "refusals"


OF_DATABASE: Final = frozenset({Kind.PEER, Kind.DELIVERIES, Kind.COMMITMENTS, Kind.JOBS, Kind.REFUSALS})
"""Kinds that nobody knows about while the database cannot be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """Something that needs a person."""

    kind: Kind
    subject: str = ""
    """The peer or certificate that it is about."""
    words: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """What needs a person at one time."""

    conditions: tuple[Condition, ...]
    unknown: frozenset[Kind] = frozenset()
    """Kinds that could not be looked at: their alerts stay as they are."""


Grounds = tuple[str, Refused]
"""Whose calls were refused, and why."""


class RefusalCounts:
    """How often calls of each peer were refused within the last hour, since the node started."""

    def __init__(self) -> None:
        self._counts: dict[Grounds, deque[tuple[datetime, int]]] = {}

    def grown(self, sums: dict[Grounds, int], *, now: datetime) -> dict[Grounds, int]:
        """Return by how much each of ``sums``, refusals counted since ever, has grown within an hour."""
        self._counts = {
            name: self._counts.get(name) or deque([(now, number)]) for name, number in sums.items()
        }
        for name, number in sums.items():
            history = self._counts[name]
            history.append((now, number))
            while len(history) > 1 and abs(now - history[1][0]) >= REFUSED_WITHIN:
                history.popleft()
        return {name: history[-1][1] - history[0][1] for name, history in self._counts.items()}


def look(settings: Settings, database: Database, counts: RefusalCounts, *, now: datetime) -> Observation:
    """Return what needs a person."""
    conditions = [*_of_data_directory(settings), *_of_bucket(settings), *of_certificates(settings, now)]
    try:
        database.check_place()
        conditions += _of_database(settings, database, counts, now)
    except StorageError as error:
        conditions.append(Condition(kind=Kind.DATABASE, words=f"Nothing is received or sent: {error}."))
        return Observation(conditions=tuple(conditions), unknown=OF_DATABASE)
    return Observation(conditions=tuple(conditions))


def _of_data_directory(settings: Settings) -> Iterator[Condition]:
    try:
        free = shutil.disk_usage(settings.node.data_dir).free // MEGABYTE
    except OSError as error:
        yield Condition(kind=Kind.DISK, words=f"The data directory cannot be reached: {error.strerror}.")
        return
    yield from of_disk(free, settings.node.disk_reserve_mb)


def _of_bucket(settings: Settings) -> Iterator[Condition]:
    try:
        archives.check(settings)
    except (StorageError, OSError) as error:
        yield from of_bucket(str(error))


def of_bucket(fault: str | None) -> Iterator[Condition]:
    """Give what is to be said of a bucket with this ``fault``; None: of one that can be used, or of none."""
    if fault is not None:
        words = f"Images are refused, and nothing is analysed or sent: {fault}."
        yield Condition(kind=Kind.BUCKET, words=words)


def of_disk(free: int, reserve: int) -> Iterator[Condition]:
    """Give what is to be said of a disk, in MB."""
    if free < reserve * LOW:
        refused = "images are refused" if free < reserve else f"below {reserve} MB images are refused"
        yield Condition(
            kind=Kind.DISK, words=f"The disk is nearly full: {free} MB are free, and {refused}. Make room."
        )


def of_certificates(settings: Settings, now: datetime) -> Iterator[Condition]:
    """Give what is to be said of our own certificates and of the authorities that we trust."""
    try:
        if settings.tls.certificate is not None:
            certificate = tls_files.read(settings.tls.certificate)
            yield from _expiring("The certificate of [tls]", "[tls]", certificate, now)
            for authority in tls_files.authorities(settings.tls):
                yield from _expiring(f"The authority {authority.name!r}", authority.name[:64], authority, now)
        if settings.console.certificate is not None:
            certificate = tls_files.read(settings.console.certificate)
            yield from _expiring("The certificate of [console]", "[console]", certificate, now)
    except (FilesError, OSError) as error:
        yield Condition(kind=Kind.CERTIFICATE, words=f"A certificate is of no use: {error}.")


def _expiring(words: str, subject: str, certificate: Certificate, now: datetime) -> Iterator[Condition]:
    if certificate.expires - now < SOON:
        verb = "has expired" if certificate.expires <= now else "expires"
        sentence = f"{words} {verb} on {certificate.expires:%Y-%m-%d}: renew it."
        yield Condition(kind=Kind.CERTIFICATE, subject=subject, words=sentence)


def _of_database(
    settings: Settings, database: Database, refusal_counts: RefusalCounts, now: datetime
) -> list[Condition]:
    with database.read() as tx:
        counts, refused = deliveries.counts(tx), refusals.calls(tx)
        oldest, last = deliveries.oldest_owed(tx), deliveries.last_success(tx)
        failing = {
            problem.destination
            for problem in attention.delivery_problems(tx)
            if problem.state is DeliveryState.OWED
        }
        parked = sum(by_state[JobState.PARKED] for by_state in jobs.counts(tx).values())
        uncommitted = commitments.counts(tx)
    conditions: list[Condition] = []
    for name in sorted(failing & oldest.keys()):
        since = max(oldest[name], last.get(name, oldest[name]))
        if now - since > timedelta(minutes=settings.alerts.peer_minutes):
            objects = _objects(counts[name][DeliveryState.OWED])
            words = f"{name} has taken nothing since {since:%Y-%m-%d %H:%M} UTC, and is owed {objects}."
            conditions.append(Condition(kind=Kind.PEER, subject=name, words=words))
    for name, by_state in sorted(counts.items()):
        if number := by_state[DeliveryState.PARKED]:
            words = f"{name} has refused {_objects(number)}, which are not tried again."
            conditions.append(Condition(kind=Kind.DELIVERIES, subject=name, words=words))
    conditions += of_commitments(
        {name: by_state[CommitmentState.PARKED] for name, by_state in uncommitted.items()}
    )
    if parked:
        words = f"{parked} {'job has' if parked == 1 else 'jobs have'} been given up."
        conditions.append(Condition(kind=Kind.JOBS, words=words))
    return [*conditions, *of_refusals(settings, refused, refusal_counts, now)]


def of_commitments(parked: Mapping[str, int]) -> Iterator[Condition]:
    """Give what is to be said of objects that no answer comes for, counted by peer."""
    for name, number in sorted(parked.items()):
        if number:
            words = f"{name} does not say whether it keeps {_objects(number)}, and is asked no more."
            yield Condition(kind=Kind.COMMITMENTS, subject=name, words=words)


def of_refusals(
    settings: Settings, refused: Iterable[RefusedCalls], counts: RefusalCounts, now: datetime
) -> Iterator[Condition]:
    """Give whose calls were refused again and again; ``counts`` has heard of earlier ones."""
    names = (*(peer.ae_title for peer in settings.peers), NO_PEER)
    reasons = [reason for reason in Refused if reason in MISTAKES or reason.subject is Subject.ASSOCIATION]
    sums: dict[Grounds, int] = dict.fromkeys(itertools.product(names, reasons), 0)
    for entry in refused:
        if (entry.peer, entry.reason) in sums:
            sums[entry.peer, entry.reason] = entry.calls
    grown = counts.grown(sums, now=now)
    for name in names:
        of_name = {reason: grown[name, reason] for reason in reasons}
        if (number := sum(of_name.values())) >= REFUSALS:
            callers = "callers that are no peers" if name == NO_PEER else f"the peer {name}"
            most = max(reasons, key=lambda reason: of_name[reason]).words
            words = f"{number} calls of {callers} were refused within an hour, most often: {most}."
            yield Condition(kind=Kind.REFUSALS, subject=name, words=words)


def _objects(number: int) -> str:
    return f"{number} {'object' if number == 1 else 'objects'}"
