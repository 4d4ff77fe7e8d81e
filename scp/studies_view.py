"""The ``studies`` command: one row a study, or the history of one."""

from __future__ import annotations

from dataclasses import asdict

from rich.console import Console

from scp import ledger, terminal
from scp.complaint import OK, Complaint
from scp.config import Settings
from storage import history, overview
from storage.records import DeliveryCounts, Event, StudyOverview


def run(settings: Settings, *, study_uid: str | None, limit: int, as_json: bool) -> int:
    """Print the latest studies, or what happened to one."""
    with ledger.opened(settings) as database, database.read() as tx:
        rows = overview.overview(tx, study_uid=study_uid, limit=limit + 1)
        events = [] if study_uid is None else history.of(tx, study_uid)
    if study_uid is not None:
        if not rows and not events:
            raise Complaint(
                f"study {study_uid} is unknown to this node: it never came in, or was removed long ago"
            )
        _one(rows, events, as_json=as_json)
    elif as_json:
        for row in rows[:limit]:
            terminal.print_json(asdict(row))
    else:
        _many(rows, limit, terminal.out())
    return OK


def _many(rows: list[StudyOverview], limit: int, console: Console) -> None:
    console.print(_table("Studies", rows[:limit]))
    if len(rows) > limit:
        console.print(f"these are the latest {limit}: there are more, see --limit")


def _one(rows: list[StudyOverview], events: list[Event], *, as_json: bool) -> None:
    if as_json:
        study = asdict(rows[0]) if rows else None
        terminal.print_json({"study": study, "events": [asdict(event) for event in events]})
        return
    console = terminal.out()
    if rows:
        console.print(_table("Study", rows))
    console.print(
        terminal.table(
            "History",
            ["when", "what", "details"],
            ((terminal.moment(event.at), event.event, _details(event)) for event in events),
        )
    )


def _table(title: str, rows: list[StudyOverview]) -> object:
    return terminal.table(
        title,
        ["study", "state", "images", "analysed", "not analysed", "first image", "last event", "results"],
        (
            (
                row.study_uid,
                row.state.value,
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


def _counts(counts: DeliveryCounts) -> str:
    return ", ".join(f"{number} {word}" for word, number in asdict(counts).items() if number)


def _details(event: Event) -> str:
    return ", ".join(f"{name} {value}" for name, value in event.fields.items())
