"""What needs a person, on the overview: whatever an alert is sent for, and what only pages tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from scp.alerts import conditions
from scp.alerts.conditions import Condition, RefusalCounts
from scp.console.services import Services
from scp.console.wording import duration
from scp.operating.health import Health
from storage.states import CommitmentState, DeliveryState

LATE: Final = timedelta(minutes=15)
"""A peer that is owed something for so long needs a person; before that it is tried again and again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Alarm:
    """Something that needs a person."""

    words: str
    link: str | None = None
    """A page that shows more."""
    destination: str | None = None
    """A peer to which everything may be tried again."""
    jobs: bool = False
    """Whether all that was given up may be tried again."""


def in_words_of_alerts(node: Services, health: Health, refusals: RefusalCounts) -> Iterator[Condition]:
    """Give what the page says in the words of alerts, out of what was seen; of the rest it knows more."""
    now = node.now()
    if health.disk.accepting:
        yield from conditions.of_disk(health.disk.free_mb, health.disk.reserve_mb)
    yield from conditions.of_bucket(health.disk.bucket_fault)
    yield from conditions.of_certificates(node.settings, now)
    unanswered: Counter[str] = Counter()
    for warning in health.warnings:
        if warning.state is CommitmentState.PARKED:
            unanswered[warning.destination] += warning.objects
    yield from conditions.of_commitments(unanswered)
    yield from conditions.of_refusals(node.settings, health.refused_calls, refusals, now)


def of(health: Health, alerted: Iterable[Condition], now: datetime) -> list[Alarm]:
    """Return what needs a person: ``alerted`` in its own words, and what ``health`` tells of the rest."""
    alarms: list[Alarm] = []
    if not health.node.running:
        alarms.append(
            Alarm(
                words="The node is stopped; these pages show what it kept. "
                "python -m scp (or make serve CONFIG=…) starts it."
            )
        )
    if not health.disk.accepting:
        alarms.append(
            Alarm(
                words=f"The disk is full: {health.disk.free_mb} MB are free. "
                "Images are refused until it has room."
            )
        )
    if health.parked_jobs:
        number = len(health.parked_jobs)
        words = "1 job has" if number == 1 else f"{number} jobs have"
        alarms.append(Alarm(words=f"{words} been given up.", link="/studies?choice=parked", jobs=True))
    for destination in health.destinations:
        if destination.parked:
            reason = next(
                (
                    problem.reason
                    for problem in health.problems
                    if problem.destination == destination.ae_title and problem.state is DeliveryState.PARKED
                ),
                "it refused them",
            )
            alarms.append(
                Alarm(
                    words=f"{destination.ae_title} has not taken {destination.parked} objects: {reason}.",
                    link="/studies?choice=parked",
                    destination=destination.ae_title,
                )
            )
    alarms += _unreachable(health, now)
    alarms += [Alarm(words=condition.words) for condition in alerted]
    if health.disk.unclaimed:
        alarms.append(
            Alarm(words=f"{health.disk.unclaimed} images are unclaimed: send them to this node again.")
        )
    alarms += [
        Alarm(
            words=f"{scanner.name}: the scores of its examinations have drifted. Calibrate it.", link="/model"
        )
        for scanner in health.scanners
        if scanner.drifted
    ]
    return alarms


def _unreachable(health: Health, now: datetime) -> list[Alarm]:
    """Return the peers that have been owed something for long, and why they do not take it."""
    reasons = {problem.destination: problem.reason for problem in health.problems}
    return [
        Alarm(
            words=f"{entry.ae_title} has been owed results for {duration(late.total_seconds())}: "
            f"{reasons[entry.ae_title]}.",
            link="/studies?choice=owed",
            destination=entry.ae_title,
        )
        for entry in health.destinations
        if entry.ae_title in reasons
        and entry.oldest_owed is not None
        and (late := now - entry.oldest_owed) > LATE
    ]
