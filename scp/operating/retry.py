"""The ``retry`` command: what is parked starts over; waiting deliveries and commitments are due now."""

from __future__ import annotations

from datetime import UTC, datetime

from scp import terminal
from scp.configuration.settings import Settings
from scp.errors import OK, WRONG_USAGE, CommandError
from scp.operating.database import open_for_changes
from scp.process import locks
from storage.database.engine import Database
from storage.overview import studies
from storage.queue import commitments, deliveries, jobs


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
        now = datetime.now(UTC)
        with database.write() as tx:
            started = 0 if destination is not None else jobs.retry_parked(tx, study_uid=study_uid, now=now)
            due = deliveries.retry(tx, study_uid=study_uid, destination=destination, now=now)
            requests = commitments.retry(tx, study_uid=study_uid, destination=destination, now=now)
    if as_json:
        terminal.print_json({"jobs": started, "deliveries": due, "commitments": requests})
        return OK
    console = terminal.out()
    console.print(f"{started} parked jobs start over, {due} deliveries are due now")
    if requests:
        console.print(f"{requests} objects that were sent are asked about again now")
    if started + due + requests and locks.node_pid(settings.node.data_dir) is None:
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
