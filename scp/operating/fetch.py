"""The ``fetch`` command: studies that nobody has sent are fetched from a peer, and read like all others."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from scp import archives, terminal
from scp.configuration.sections import Peer
from scp.configuration.settings import Settings
from scp.errors import FAILED, OK, WRONG_USAGE, CommandError
from scp.fetching.dicomweb import WebSource
from scp.fetching.dimse import DimseSource
from scp.fetching.pace import Hours, Pace
from scp.fetching.query import Query
from scp.fetching.source import Keeper, Source
from scp.fetching.studies import Fetcher, Line, Outcome
from scp.operating.database import node_runs, open_for_long
from scp.receiving import store
from storage.database.engine import Database
from storage.queue import arrivals, jobs
from storage.records import JobKind
from storage.states import LIVE

AGAIN: Final = 75
"""Exit code where the same command may do more later: EX_TEMPFAIL of sysexits.h."""
INTERRUPTED: Final = 130
"""Exit code after Ctrl-C: 128 and the number of SIGINT, as shells have it."""


def run(
    settings: Settings,
    queries: Sequence[Query],
    *,
    peer_name: str | None,
    per_hour: float | None,
    hours: str | None,
    as_json: bool,
) -> int:
    """Fetch what ``queries`` name; print one line for each failure, and how many studies came."""
    if not queries:
        raise CommandError(
            "name what to fetch: --accession, --study, --patient, --from and --to, or --list FILE",
            code=WRONG_USAGE,
        )
    peer = _peer(settings, peer_name)
    lines: list[Line] = []
    interrupted = False
    with open_for_long(settings) as database, terminal.progress() as progress:
        task = progress.add_task("searching", total=None)
        fetcher = Fetcher(
            source=_source(settings, peer, database),
            database=database,
            pace=Pace(
                hours=None if hours is None else Hours.read(hours),
                interval=timedelta(hours=1 / per_hour) if per_hour else timedelta(0),
                waiting=partial(_waiting, settings, database),
                now=_now,
                pause=threading.Event().wait,
            ),
            announce=lambda words: progress.update(task, description=words),
        )
        try:
            for line in _fetch(fetcher, queries, lambda total: progress.update(task, total=total)):
                lines.append(line)
                progress.update(task, completed=len(lines))
                if as_json:
                    terminal.print_json(terminal.as_fields(line))
        except KeyboardInterrupt:
            interrupted = True
        running = node_runs(settings, database)
    if not as_json:
        _show(lines, peer, interrupted=interrupted, running=running)
    if interrupted:
        return INTERRUPTED
    outcomes = {line.outcome for line in lines}
    if Outcome.AGAIN in outcomes:
        return AGAIN
    return FAILED if Outcome.NEVER in outcomes else OK


def _fetch(fetcher: Fetcher, queries: Sequence[Query], count: Callable[[int], None]) -> Iterator[Line]:
    """Give the line of each query that failed, then of each study; ``count`` is told how many there are."""
    queries_by_study, failed = fetcher.search(queries)
    count(len(queries_by_study) + len(failed))
    yield from failed
    yield from fetcher.fetch(queries_by_study)


def _peer(settings: Settings, name: str | None) -> Peer:
    """Return the peer to fetch from: the one that is named, else the only one that can be called."""
    reachable = [peer for peer in settings.peers if peer.reachable]
    names = ", ".join(peer.ae_title for peer in reachable) or "none"
    if name is None and len(reachable) == 1:
        return reachable[0]
    chosen = next((peer for peer in reachable if peer.ae_title == name), None)
    if chosen is None:
        question = "which peer? Name it with --peer" if name is None else f"no peer {name!r} can be called"
        raise CommandError(f"{question}: [[peers]] with host and port, or url, are {names}", code=WRONG_USAGE)
    return chosen


def _source(settings: Settings, peer: Peer, database: Database) -> Source:
    archive = archives.open_archive(settings)
    # a node that runs looks for new rows every second by itself
    receiver = store.receiver(settings, database, archive, now=_now, arrived=lambda: None)
    keeper = Keeper(receive=partial(receiver.keep, calling_ae=peer.ae_title))
    if peer.url is not None:
        return WebSource(settings=settings, peer=peer, keeper=keeper, incoming=archive.incoming)
    return DimseSource(
        settings=settings,
        peer=peer,
        keeper=keeper,
        incoming=archive.incoming,
        moves=node_runs(settings, database),
        recognised=partial(_recognised, database),
    )


def _recognised(database: Database, uids: Collection[str]) -> Collection[str]:
    with database.read() as tx:
        return arrivals.recognised(tx, set(uids))


def _waiting(settings: Settings, database: Database) -> int:
    """Return how many images wait for the node; none where it does not run: they wait for nobody."""
    if not node_runs(settings, database):
        return 0
    with database.read() as tx:
        counts = jobs.counts(tx)[JobKind.ANALYSE]
    return sum(counts.get(state, 0) for state in LIVE)


def _show(lines: Sequence[Line], peer: Peer, *, interrupted: bool, running: bool) -> None:
    """Print what failed as a table, and the sum in one sentence."""
    console = terminal.out()
    failed = [line for line in lines if line.reason is not None]
    if failed:
        rows = ((line.query, line.study_uid, line.outcome.value, line.reason) for line in failed)
        console.print(terminal.table("Not fetched", ["what", "study", "", "why"], rows))
    counts = Counter(line.outcome for line in lines)
    words = ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in Outcome if counts[outcome])
    images = sum(line.images for line in lines)
    console.print(f"{peer.ae_title}: {words or 'no study'}; {images} images came in")
    if interrupted:
        console.print("interrupted: what came in is kept, the same command goes on from here")
    elif counts[Outcome.AGAIN]:
        console.print("the same command tries again what is missing, and skips what is here")
    if images and not running:
        console.print("the node is not running: the images are read when it is started")


def _now() -> datetime:
    return datetime.now(UTC)
