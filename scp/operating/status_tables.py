"""The tables of ``status``: what is wrong, one for each kind that there is, and how the scanners score."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from scp import terminal
from scp.calibration import ScannerPopulation
from storage.overview.attention import CommitmentWarning, DeliveryProblem, ParkedJob
from storage.records import NotKept
from storage.states import CommitmentState, DeliveryState


@dataclass(frozen=True, kw_only=True, slots=True)
class ScannerStatus:
    """How the examinations of a scanner score, against its reference population."""

    name: str
    network: str
    examinations: int
    calibrated_at: datetime | None
    calibrated_by: str | None
    distance: float | None
    """Greatest difference of the shares of examinations below any score; None where there are too few."""
    limit: float | None
    """Beyond it the population is another one."""
    drifted: bool


def scanner_status(entry: ScannerPopulation) -> ScannerStatus:
    """Return what ``status`` says of a scanner."""
    accepted, drift = entry.calibration, entry.drift
    return ScannerStatus(
        name=str(entry.scanner),
        network=str(entry.network),
        examinations=entry.examinations,
        calibrated_at=None if accepted is None else accepted.accepted_at,
        calibrated_by=None if accepted is None else accepted.accepted_by,
        distance=None if drift is None else drift.distance,
        limit=None if drift is None else drift.limit,
        drifted=drift is not None and drift.drifted,
    )


def scanners(scanners: Iterable[ScannerStatus]) -> terminal.Listing:
    """Return the scanners for people."""
    columns = ["scanner", "network", "examinations", "calibrated", "by", "drifted"]
    return terminal.table("Scanners", columns, map(_scanner_row, scanners))


def _scanner_row(scanner: ScannerStatus) -> list[object]:
    if scanner.distance is None or scanner.limit is None:
        drift = None
    elif scanner.drifted:
        drift = f"YES: {scanner.distance:.0%} apart (limit {scanner.limit:.0%}): see `calibrate`"
    else:
        drift = f"no: {scanner.distance:.0%} apart (limit {scanner.limit:.0%})"
    return [
        scanner.name,
        scanner.network,
        scanner.examinations,
        terminal.moment(scanner.calibrated_at),
        scanner.calibrated_by,
        drift,
    ]


def troubles(
    *,
    problems: Sequence[DeliveryProblem],
    warnings: Sequence[CommitmentWarning],
    parked_jobs: Sequence[ParkedJob],
    mixed_studies: Sequence[str],
    not_kept: Sequence[NotKept],
) -> Iterator[terminal.Listing]:
    """Yield a table for each of these that is not empty."""
    if problems:
        title, columns = "Not delivered, and why", ["destination", "objects", "state", "next try", "reason"]
        yield terminal.table(title, columns, map(_problem_row, problems))
    if warnings:
        title = "Sent and not committed, and why"
        columns = ["destination", "objects", "state", "next question", "reason"]
        yield terminal.table(title, columns, map(_warning_row, warnings))
    if parked_jobs:
        title = "Parked jobs: each needs a person, then `retry`"
        columns = ["kind", "study", "image", "since", "reason"]
        yield terminal.table(title, columns, map(_job_row, parked_jobs))
    if mixed_studies:
        title = "Images of several patients under one Study Instance UID: each patient has results of its own"
        yield terminal.table(title, ["study"], ([study_uid] for study_uid in mixed_studies))
    if not_kept:
        title, columns = "Received and not kept", ["peer", "objects", "class", "why", "last"]
        yield terminal.table(title, columns, map(_not_kept_row, not_kept))


def _problem_row(problem: DeliveryProblem) -> list[object]:
    goes_on = problem.state is DeliveryState.OWED
    next_try = terminal.moment(problem.next_try) if goes_on else "after `retry`"
    return [problem.destination, problem.objects, problem.state.lower(), next_try, problem.reason]


def _warning_row(warning: CommitmentWarning) -> list[object]:
    parked = warning.state is CommitmentState.PARKED
    next_question = "after `retry`" if parked else terminal.moment(warning.next_try)
    return [warning.destination, warning.objects, warning.state.lower(), next_question, warning.reason]


def _job_row(job: ParkedJob) -> list[object]:
    return [job.kind.lower(), job.study_uid, job.sop_instance_uid, terminal.moment(job.parked_at), job.reason]


def _not_kept_row(group: NotKept) -> list[object]:
    from pydicom.uid import UID  # noqa: PLC0415 - loads every decoder, and most nodes have nothing to show here

    name = UID(group.sop_class_uid).name
    return [group.peer, group.objects, name, group.reason.words, terminal.moment(group.last_at)]
