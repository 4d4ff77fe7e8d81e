"""The ``studies`` command: one row a study, or the history of one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from rich.console import Console

from scp import terminal
from scp.configuration.settings import Settings
from scp.errors import OK, CommandError
from scp.operating import waiting
from scp.operating.database import open_for_reading
from storage import history
from storage.history import Event
from storage.overview import deliveries, studies
from storage.overview.deliveries import Entry
from storage.overview.studies import DeliveryCounts, StudyOverview
from storage.states import CommitmentState, DeliveryState


def run(settings: Settings, *, study_uid: str | None, limit: int, as_json: bool) -> int:
    """Print the latest studies, or what happened to one."""
    with open_for_reading(settings) as database:
        with database.read() as tx:
            if study_uid is not None:
                study_uid = studies.kept_as(tx, study_uid)
            rows = studies.overview(tx, study_uid=study_uid, limit=limit + 1)
            entries = [] if study_uid is None else deliveries.of_study(tx, study_uid)
            events = [] if study_uid is None else history.of(tx, study_uid)
        waits = waiting.of_studies(database, settings, rows, now=datetime.now(UTC))
    if study_uid is not None:
        if not rows and not events:
            raise CommandError(
                f"study {study_uid} is unknown to this node: it never came in, or was removed long ago"
            )
        _show_study(rows, entries, events, waits, as_json=as_json)
    elif as_json:
        for row in rows[:limit]:
            terminal.print_json(terminal.as_fields(row))
    else:
        _show_studies(rows, limit, waits, terminal.out())
    return OK


def _show_studies(rows: list[StudyOverview], limit: int, waits: Mapping[str, str], console: Console) -> None:
    console.print(_table("Studies", rows[:limit], waits))
    if len(rows) > limit:
        console.print(f"these are the latest {limit}: there are more, see --limit")


def _show_study(
    rows: list[StudyOverview],
    entries: list[Entry],
    events: list[Event],
    waits: Mapping[str, str],
    *,
    as_json: bool,
) -> None:
    if as_json:
        study = terminal.as_fields(rows[0]) if rows else None
        terminal.print_json(
            {
                "study": study,
                "deliveries": [terminal.as_fields(entry) for entry in entries],
                "events": [terminal.as_fields(event) for event in events],
            }
        )
        return
    console = terminal.out()
    if rows:
        console.print(_table("Study", rows, waits))
    if entries:
        console.print(_deliveries_table(entries))
    console.print(
        terminal.table(
            "History",
            ["when", "what", "details"],
            ((terminal.moment(event.at), event.event, _details(event)) for event in events),
        )
    )


def _table(title: str, rows: list[StudyOverview], waits: Mapping[str, str]) -> object:
    return terminal.table(
        title,
        [
            "study",
            "state",
            "waits for",
            "images",
            "analysed",
            "not analysed",
            "first image",
            "last event",
            "results",
        ],
        (
            (
                row.study_uid,
                row.state.value,
                waits.get(row.study_uid),
                row.images,
                row.analysed,
                row.not_analysed,
                terminal.moment(row.first_at),
                terminal.moment(row.last_at),
                "; ".join(f"{name}: {_counts(counts)}" for name, counts in row.deliveries.items()),
            )
            for row in rows
        ),
    )


def _deliveries_table(entries: list[Entry]) -> object:
    return terminal.table(
        "Deliveries",
        ["object", "UID", "destination", "state", "sent", "status", "attempts", "commitment", "reason"],
        (
            (
                entry.kind,
                entry.sent_as or entry.sop_instance_uid,
                entry.destination,
                _state(entry),
                terminal.moment(entry.sent_at),
                None if entry.last_status is None else f"0x{entry.last_status:04X}",
                entry.attempts,
                _commitment(entry),
                entry.reason or entry.warning,
            )
            for entry in entries
        ),
    )


def _state(entry: Entry) -> str:
    words = entry.state.value.lower()
    return (
        f"{words}, next try {terminal.moment(entry.next_try)}" if entry.state is DeliveryState.OWED else words
    )


def _commitment(entry: Entry) -> str | None:
    """Say how the destination's commitment stands; nothing where it is not asked for one."""
    match entry.commitment:
        case None:
            return None
        case CommitmentState.COMMITTED:
            return f"committed {terminal.moment(entry.committed_at)}"
        case CommitmentState.ASKED:
            return f"asked {terminal.moment(entry.asked_at)}, again {terminal.moment(entry.asked_again_at)}"
        case CommitmentState.DUE:
            return f"to be asked {terminal.moment(entry.asked_again_at)}"
        case CommitmentState.FAILED:
            return f"failed: 0x{entry.failure_reason or 0:04X}"
        case CommitmentState.PARKED | CommitmentState.WAIVED:
            return entry.commitment.value.lower()


def _counts(counts: DeliveryCounts) -> str:
    return ", ".join(f"{number} {word}" for word, number in terminal.as_fields(counts).items() if number)


def _details(event: Event) -> str:
    return ", ".join(f"{name} {value}" for name, value in event.fields.items())
