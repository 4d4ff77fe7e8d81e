"""The ``status`` command: prints how the node is doing, for people or as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import Console

from scp import terminal
from scp.configuration.settings import Settings
from scp.errors import OK
from scp.operating.database import open_for_reading
from scp.operating.health import Destination, Health, MachineStatus, Node, ScannerStatus, look
from storage.overview.attention import CommitmentWarning, DeliveryProblem, ParkedJob
from storage.overview.pages import COUNTED
from storage.records import NotKept, RefusedCalls
from storage.states import CommitmentState, DeliveryState, JobState

DESTINATION_COLUMNS: Final = (
    "destination",
    "owed",
    "sent",
    "parked",
    "withdrawn",
    "committed",
    "uncommitted",
    "owed since",
    "last success",
)


def run(settings: Settings, *, as_json: bool) -> int:
    """Print how the node is doing."""
    with open_for_reading(settings) as database:
        health = look(database, settings)
    if as_json:
        terminal.print_json(terminal.as_fields(health))
    else:
        _show(health, terminal.out())
    return OK


def _show(health: Health, console: Console) -> None:
    node, disk = health.node, health.disk
    place = f"process {node.pid}" if node.pid is not None else f"{_living(health)} processes"
    state = f"running ({place})" if node.running else "NOT running"
    console.print(f"{node.ae_title}, port {node.port}: {state}, data in {node.data_dir}")
    if node.running:
        console.print(_worker(node))
    if node.console_running is False:
        console.print("console: NOT running; `check` looks at its port, and the log says why")
    if disk.bucket:
        fault = "" if disk.bucket_fault is None else f", which FAILS, images are REFUSED: {disk.bucket_fault}"
        console.print(f"files: in {disk.bucket}{fault}; a full disk removes no study early there")
    refusing = "" if disk.accepting else ": images are REFUSED (0xA700) until there is room"
    console.print(f"disk: {disk.free_mb} MB free, {disk.reserve_mb} MB kept in reserve{refusing}")
    if disk.incoming:
        console.print(f"{disk.incoming} files with {disk.incoming_mb} MB are coming in")
    if disk.coming_again:
        console.print(f"{disk.coming_again} images that came after the restored backup come in again")
    if disk.unclaimed:
        console.print(
            f"{disk.unclaimed} images are unclaimed: send {disk.unclaimed_place} to this node again"
        )
    if health.audit is not None and (health.audit.waiting or health.audit.lost):
        console.print(
            f"audit messages: {health.audit.waiting} wait to be taken, {health.audit.lost} are LOST"
        )
    if health.oldest_waiting is not None:
        console.print(f"oldest job waiting since {terminal.moment(health.oldest_waiting)}")
    _show_tables(health, console)


def _living(health: Health) -> int:
    return sum(machine.alive for machine in health.machines)


def _show_tables(health: Health, console: Console) -> None:
    if health.machines:
        columns = ["role", "host", "process", "", "last seen"]
        console.print(terminal.table("Machines", columns, map(_machine_row, health.machines)))
    states = [state.value.lower() for state in JobState]
    rows = ([kind, *(counts[state] for state in states)] for kind, counts in health.queue.items())
    console.print(terminal.table("Jobs", ["", *states], rows))
    if health.waiting:
        rows = ([study, sentence] for study, sentence in health.waiting.items())
        console.print(terminal.table("Studies that are not settled", ["study", "waits for"], rows))
        if health.waiting_unlisted:
            least = " or more" if health.waiting_unlisted == COUNTED else ""
            console.print(f"and {health.waiting_unlisted}{least} more: `studies`")
    console.print(terminal.table("Results", DESTINATION_COLUMNS, map(_destination_row, health.destinations)))
    for table in _tables_of_problems(health):
        console.print(table)


def _machine_row(machine: MachineStatus) -> list[object]:
    if not machine.alive:
        state = "GONE: it has died, or is cut off"
    elif machine.ready:
        state = "at work"
    else:
        state = "waits for the end of another" if machine.role == "deliver" else "NOT ready"
    return [machine.role, machine.host, machine.pid, state, terminal.moment(machine.seen_at)]


def _destination_row(destination: Destination) -> list[object]:
    name = destination.ae_title
    return [
        name if destination.configured else f"{name} (no host and port configured)",
        destination.outstanding,
        destination.sent,
        destination.parked,
        destination.withdrawn,
        destination.committed,
        destination.uncommitted,
        terminal.moment(destination.oldest_owed),
        terminal.moment(destination.last_success),
    ]


def _worker(node: Node) -> str:
    if node.worker_pid is None:
        return "worker: NOT ready; it is loading its network, or the log says why it died"
    if len(node.worker_pids) == 1:
        return f"worker: ready (process {node.worker_pid})"
    return f"workers: {len(node.worker_pids)} ready (processes {', '.join(map(str, node.worker_pids))})"


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


def _tables_of_problems(health: Health) -> Iterator[terminal.Listing]:
    """Yield a table for each kind of thing that needs a look, and is there."""
    if health.scanners:
        columns = ["scanner", "network", "examinations", "calibrated", "by", "drifted"]
        yield terminal.table("Scanners", columns, map(_scanner_row, health.scanners))
    if health.problems:
        title, columns = "Not delivered, and why", ["destination", "objects", "state", "next try", "reason"]
        yield terminal.table(title, columns, map(_problem_row, health.problems))
    if health.warnings:
        title = "Sent and not committed, and why"
        columns = ["destination", "objects", "state", "next question", "reason"]
        yield terminal.table(title, columns, map(_warning_row, health.warnings))
    if health.parked_jobs:
        title = "Parked jobs: each needs a person, then `retry`"
        columns = ["kind", "study", "image", "since", "reason"]
        yield terminal.table(title, columns, map(_job_row, health.parked_jobs))
    if health.mixed_studies:
        title = "Images of several patients under one Study Instance UID: each patient has results of its own"
        yield terminal.table(title, ["study"], ([study_uid] for study_uid in health.mixed_studies))
    if health.not_kept:
        title, columns = "Received and not kept", ["peer", "objects", "class", "why", "last"]
        yield terminal.table(title, columns, map(_not_kept_row, health.not_kept))
    if health.refused_calls:
        title, columns = "Callers refused", ["peer", "times", "of", "why", "last"]
        yield terminal.table(title, columns, map(_refused_row, health.refused_calls))


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


def _refused_row(group: RefusedCalls) -> list[object]:
    subject = f"{group.reason.subject.value}s"
    return [
        group.peer or "(no peer)",
        group.calls,
        subject,
        group.reason.words,
        terminal.moment(group.last_at),
    ]
