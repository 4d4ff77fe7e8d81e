"""The ``retry`` command: what is parked starts over; waiting deliveries and commitments are due now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from scp import terminal
from scp.configuration.settings import Settings
from scp.errors import OK, WRONG_USAGE, CommandError
from scp.operating.database import node_runs, open_for_changes
from storage.database.engine import Database
from storage.overview import studies
from storage.queue import commitments, deliveries, jobs


@dataclass(frozen=True, kw_only=True, slots=True)
class BroughtBack:
    """How many rows start over or are due now."""

    jobs: int
    deliveries: int
    commitments: int


def bring_back(
    database: Database, *, study_uid: str | None, destination: str | None, now: datetime
) -> BroughtBack:
    """Let what is parked start over and what waits be due now; jobs as well unless a destination is named."""
    with database.write() as tx:
        return BroughtBack(
            jobs=0 if destination is not None else jobs.retry_parked(tx, study_uid=study_uid, now=now),
            deliveries=deliveries.retry(tx, study_uid=study_uid, destination=destination, now=now),
            commitments=commitments.retry(tx, study_uid=study_uid, destination=destination, now=now),
        )


def run(
    settings: Settings, *, study_uid: str | None, destination: str | None, all_parked: bool, as_json: bool
) -> int:
    """Bring back what was named; jobs are brought back unless only a destination was."""
    if all_parked == (study_uid is not None or destination is not None):
        raise CommandError(
            "name what to retry: --study UID, --destination AE or both, or else --all", code=WRONG_USAGE
        )
    with open_for_changes(settings) as database:
        _check(database, settings, study_uid, destination)
        back = bring_back(database, study_uid=study_uid, destination=destination, now=database.now())
        running = node_runs(settings, database)
    if as_json:
        terminal.print_json(terminal.as_fields(back))
        return OK
    console = terminal.out()
    console.print(f"{back.jobs} parked jobs start over, {back.deliveries} deliveries are due now")
    if back.commitments:
        console.print(f"{back.commitments} objects that were sent are asked about again now")
    if back.jobs + back.deliveries + back.commitments and not running:
        console.print("the node is not running: they are done when it is started")
    return OK


def _check(database: Database, settings: Settings, study_uid: str | None, destination: str | None) -> None:
    with database.read() as tx:
        unknown = study_uid is not None and not studies.overview(tx, study_uid=study_uid)
        names = {peer.ae_title for peer in settings.peers} | deliveries.counts(tx).keys()
    if unknown:
        raise CommandError(f"study {study_uid} is unknown to this node: `studies` lists those it has")
    if destination is not None and destination not in names:
        raise CommandError(
            f"no destination {destination!r}: there is {', '.join(sorted(names)) or 'none'}", code=WRONG_USAGE
        )
