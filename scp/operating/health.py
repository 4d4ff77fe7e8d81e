"""How a node is doing: what runs, what waits, what is owed to whom, and why it was not sent."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from inference.scanner_calibration import NEEDED
from scp import archives, calibration
from scp.calibration import ScannerPopulation
from scp.configuration.settings import Settings
from scp.operating import waiting
from scp.process import locks
from storage import audit_spool, machines, refusals
from storage.audit_spool import AuditQueue
from storage.database.engine import Database
from storage.errors import StorageError
from storage.files.local import unfinished
from storage.machines import Machine
from storage.overview import attention, pages
from storage.overview.attention import CommitmentWarning, DeliveryProblem, ParkedJob
from storage.overview.pages import Choice
from storage.queue import commitments, deliveries, jobs
from storage.records import NotKept, RefusedCalls
from storage.states import UNCOMMITTED, CommitmentState, DeliveryState
from storage.upkeep import to_come

MEGABYTE: Final = 1_000_000
SHOWN_STUDIES: Final = 10
"""Studies that are not settled: `studies` lists all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """Who the node is and whether it runs."""

    running: bool
    pid: int | None
    worker_pid: int | None
    """First process that analyses; None while it loads its network, or died and is to be started again."""
    worker_pids: tuple[int, ...]
    """All processes that analyse; where there are machines, those of them that do."""
    console_running: bool | None
    """Whether the pages of the node are shown; None where it starts none, or does not run itself."""
    ae_title: str
    port: int
    data_dir: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineStatus:
    """One process of a node that runs in several, and its last sign of life."""

    role: str
    host: str
    pid: int
    alive: bool
    """Whether it has given a sign of life lately; else it has died, or is cut off."""
    ready: bool
    """Whether it does its work; of those that deliver one does, the others wait for its end."""
    started_at: datetime
    seen_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """How deliveries to one destination stand, in objects."""

    ae_title: str
    configured: bool
    """Whether the configuration says where it is."""
    outstanding: int
    """Owed: neither sent, parked nor withdrawn."""
    sent: int
    parked: int
    withdrawn: int
    committed: int
    """Of those sent: how many it has committed itself to keep."""
    uncommitted: int
    """Of those sent: how many it is asked to commit itself to and has not yet."""
    oldest_owed: datetime | None
    last_success: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Disk:
    """Room in the data directory."""

    free_mb: int
    reserve_mb: int
    accepting: bool
    """Whether images are accepted: free room is above the reserve."""
    bucket: str
    """Where the files are, if in a bucket: the disk is then for those that come in, and for copies."""
    bucket_fault: str | None
    """Why that cannot be used now; None where it can."""
    unclaimed: int
    """Images that the database does not know, and that wait to be sent to the node again."""
    unclaimed_place: str
    """Where they are."""
    coming_again: int
    """Images that came after the backup that was restored; they come in once more by themselves."""
    incoming: int
    """Files that come in now; while no association is open, what an interrupted one has left."""
    incoming_mb: float


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """All of it, as ``status --json`` prints it."""

    node: Node
    machines: tuple[MachineStatus, ...]
    """The processes with roles, where the node runs in several."""
    queue: Mapping[str, Mapping[str, int]]
    """Jobs by kind and state."""
    oldest_waiting: datetime | None
    """Since when the first of the jobs that are due has waited; None where none is due."""
    destinations: tuple[Destination, ...]
    problems: tuple[DeliveryProblem, ...]
    warnings: tuple[CommitmentWarning, ...]
    parked_jobs: tuple[ParkedJob, ...]
    not_kept: tuple[NotKept, ...]
    """What peers sent that was not kept, counted since the database was made."""
    refused_calls: tuple[RefusedCalls, ...]
    """Associations, connections and requests of STOW-RS that were refused, counted in the same way."""
    mixed_studies: tuple[str, ...]
    """Studies that hold images of several patients: each gets results of its own."""
    waiting: Mapping[str, str]
    """What the latest studies that are not settled wait for, by Study Instance UID."""
    waiting_unlisted: int
    """How many studies beside those are not settled, counted to `pages.COUNTED`."""
    disk: Disk
    scanners: tuple[ScannerStatus, ...]
    audit: AuditQueue | None
    """None where no audit trail is configured."""


def look(database: Database, settings: Settings) -> Health:
    """Gather everything."""
    with database.read() as tx:
        unsettled = pages.page(tx, choice=Choice.OPEN, offset=0, limit=SHOWN_STUDIES)
    waits = waiting.of_studies(database, settings, unsettled.studies, now=datetime.now(UTC))
    with database.read() as tx:
        processes = tuple(
            _machine(machine, alive=machine.alive(database.now())) for machine in machines.every(tx)
        )
        return Health(
            node=_node(settings, [process for process in processes if process.alive]),
            machines=processes,
            queue={
                kind.value.lower(): {state.value.lower(): number for state, number in by_state.items()}
                for kind, by_state in jobs.counts(tx).items()
            },
            oldest_waiting=jobs.oldest_waiting(tx, now=database.now()),
            destinations=_destinations(
                settings,
                deliveries.counts(tx),
                commitments.counts(tx),
                deliveries.oldest_owed(tx),
                deliveries.last_success(tx),
            ),
            problems=tuple(attention.delivery_problems(tx)),
            warnings=tuple(attention.commitment_warnings(tx)),
            parked_jobs=tuple(attention.parked_jobs(tx)),
            not_kept=tuple(refusals.objects(tx)),
            refused_calls=tuple(refusals.calls(tx)),
            mixed_studies=tuple(attention.mixed_studies(tx)),
            waiting=waits,
            waiting_unlisted=unsettled.total - len(unsettled.studies),
            disk=_disk(settings),
            audit=audit_spool.standing(settings.node.data_dir) if settings.audit.on else None,
            scanners=tuple(map(_scanner, calibration.scanners(database, latest_scores=NEEDED))),
        )


def _machine(machine: Machine, *, alive: bool) -> MachineStatus:
    return MachineStatus(
        role=machine.role,
        host=machine.host,
        pid=machine.pid,
        alive=alive,
        ready=alive and machine.ready,
        started_at=machine.started_at,
        seen_at=machine.seen_at,
    )


def _node(settings: Settings, processes: Sequence[MachineStatus]) -> Node:
    pid = locks.node_pid(settings.node.data_dir)
    worker_pids = () if pid is None else locks.worker_pids(settings.node.data_dir)
    worker_pids += tuple(process.pid for process in processes if process.role == "work" and process.ready)
    return Node(
        running=pid is not None or any(process.role == "receive" for process in processes),
        pid=pid,
        worker_pid=next(iter(worker_pids), None),
        worker_pids=worker_pids,
        console_running=(
            locks.console_runs(settings.node.data_dir)
            if pid is not None and settings.console.enabled
            else None
        ),
        ae_title=settings.node.ae_title,
        port=settings.node.port,
        data_dir=settings.node.data_dir,
    )


def _destinations(
    settings: Settings,
    counts: Mapping[str, Mapping[DeliveryState, int]],
    commitment_counts: Mapping[str, Mapping[CommitmentState, int]],
    oldest: Mapping[str, datetime],
    last: Mapping[str, datetime],
) -> tuple[Destination, ...]:
    """Return one entry for each peer that can be sent to and each destination of a delivery."""
    reachable = {peer.ae_title for peer in settings.peers if peer.reachable}
    no_deliveries = dict.fromkeys(DeliveryState, 0)
    no_commitments = dict.fromkeys(CommitmentState, 0)
    return tuple(
        Destination(
            ae_title=name,
            configured=name in reachable,
            outstanding=counts.get(name, no_deliveries)[DeliveryState.OWED],
            sent=counts.get(name, no_deliveries)[DeliveryState.SENT],
            parked=counts.get(name, no_deliveries)[DeliveryState.PARKED],
            withdrawn=counts.get(name, no_deliveries)[DeliveryState.WITHDRAWN],
            committed=commitment_counts.get(name, no_commitments)[CommitmentState.COMMITTED],
            uncommitted=sum(commitment_counts.get(name, no_commitments)[state] for state in UNCOMMITTED),
            oldest_owed=oldest.get(name),
            last_success=last.get(name),
        )
        for name in sorted(reachable | counts.keys())
    )


def _disk(settings: Settings) -> Disk:
    free = shutil.disk_usage(settings.node.data_dir).free // MEGABYTE
    reserve = settings.node.disk_reserve_mb
    incoming, size = unfinished(settings.node.data_dir)
    coming_again = len(to_come.read(settings.node.data_dir))
    unclaimed, fault = 0, None
    try:
        archives.check(settings)
        unclaimed = archives.unclaimed_images(settings)
    except (StorageError, OSError) as error:
        fault = str(error)
    return Disk(
        free_mb=free,
        reserve_mb=reserve,
        accepting=free >= reserve,
        bucket=settings.files.url,
        bucket_fault=fault,
        unclaimed=unclaimed,
        unclaimed_place=archives.unclaimed_place(settings),
        coming_again=coming_again,
        incoming=incoming,
        incoming_mb=round(size / MEGABYTE, 1),
    )


def _scanner(entry: ScannerPopulation) -> ScannerStatus:
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
