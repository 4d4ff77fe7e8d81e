"""The overview: is all well, and if not, what mends it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Final

from pydicom.uid import UID
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from scp.alerts.conditions import RefusalCounts
from scp.console import rendering, services, visitors
from scp.console.drawing import charts
from scp.console.drawing.charts import Chart
from scp.console.pages import alarms, outcomes
from scp.console.pages.alarms import Alarm
from scp.console.services import Services
from scp.console.visitors import Role
from scp.operating import health as node_health
from scp.operating import retry
from scp.operating.health import Destination, Health
from storage import calls
from storage.calls import Caller
from storage.overview import recent
from storage.refused import Refused

FRESH_SECONDS: Final = 2.0
"""However many look, the database is asked no more often."""
DAY_FRESH_SECONDS: Final = 30.0
"""The same of the last 24 hours."""
SHOWN_CALLERS: Final = 20
MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class PeerLine:
    """A peer of the configuration, or one that is owed something."""

    ae_title: str
    last_seen: datetime | None
    """When it last opened an association."""
    last_success: datetime | None
    """When it last took a result."""
    outstanding: int
    parked: int
    error: str | None
    """What last went wrong, either way."""
    error_at: datetime | None
    """None of what goes wrong still."""
    mended: bool
    """Whether it has come, and been let in, since."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """All that the page shows."""

    health: Health
    worker: str
    working: int
    waiting: int
    studies_today: int
    outstanding: int
    parked: int
    days_left: float | None
    peers: tuple[PeerLine, ...]
    strangers: tuple[Caller, ...]
    """Callers that were turned away, the latest first."""
    alarms: tuple[Alarm, ...]


class Watch:
    """Looks at the node, no more often than `FRESH_SECONDS`. Safe for use from many threads."""

    def __init__(self, node: Services) -> None:
        self._services = node
        self._lock = threading.Lock()
        self._refusals = RefusalCounts()
        self._overview: tuple[float, Overview] | None = None
        self._charts: tuple[float, list[Chart]] | None = None

    def overview(self) -> Overview:
        """Return how the node is doing now, or did when it was last looked at while another looks."""
        last = self._overview
        if not self._lock.acquire(blocking=last is None):
            assert last is not None  # noqa: S101 - else it was waited for
            return last[1]  # a bucket's server that is silent holds up the one that looks alone
        try:
            if self._overview is None or time.monotonic() - self._overview[0] > FRESH_SECONDS:
                overview = look(self._services, self._refusals)
                self._overview = time.monotonic(), overview
            return self._overview[1]
        finally:
            self._lock.release()

    def look_again(self) -> None:
        """Let the next page show what was changed just now."""
        with self._lock:
            self._overview = None

    def day(self) -> list[Chart]:
        """Return the charts of the last 24 hours."""
        with self._lock:
            if self._charts is None or time.monotonic() - self._charts[0] > DAY_FRESH_SECONDS:
                with self._services.database.read() as tx:
                    hours = recent.hours(tx, now=self._services.now())
                self._charts = time.monotonic(), charts.of_day(hours)
            return self._charts[1]


def look(node: Services, refusals: RefusalCounts) -> Overview:
    """Gather what the overview shows."""
    now = node.now()
    health = node_health.look(node.database, node.settings)
    with node.database.read() as tx:
        callers = calls.latest(tx)
        today = recent.studies_since(tx, _midnight(now))
        rate = recent.bytes_a_day(tx, now=now)
    running = sum(states["running"] for states in health.queue.values())
    peers = _peers(node, health, callers)
    return Overview(
        health=health,
        worker=_worker(health, running),
        working=running,
        waiting=sum(states["waiting"] for states in health.queue.values()),
        studies_today=today,
        outstanding=sum(destination.outstanding for destination in health.destinations),
        parked=sum(destination.parked for destination in health.destinations),
        days_left=_days_left(health, rate),
        peers=peers,
        strangers=tuple(caller for caller in callers if caller.rejected)[:SHOWN_CALLERS],
        alarms=tuple(alarms.of(health, alarms.in_words_of_alerts(node, health, refusals), now)),
    )


def show(request: Request) -> Response:
    """Return the page, or its part that changes where a script asks for it."""
    watch: Watch = request.app.state.watch
    name = "overview_live.html" if "fragment" in request.query_params else "overview.html"
    overview = watch.overview()
    return rendering.page(
        request,
        name,
        {
            "overview": overview,
            "charts": watch.day(),
            "manifest": services.of(request).manifest,
            "done": outcomes.sentence(request.query_params),
        },
    )


async def retry_destination(request: Request) -> Response:
    """Try everything again that a peer has not taken, or all that was given up; say how much."""
    visitors.require(request, Role.OPERATOR)
    await visitors.check_form(request)
    form = await request.form()
    node = services.of(request)
    destination = None if "jobs" in form else str(form.get("destination", ""))
    back = await run_in_threadpool(
        retry.bring_back, node.database, study_uid=None, destination=destination, now=node.now()
    )
    request.app.state.watch.look_again()
    return RedirectResponse(outcomes.address("/", back), 303)


def _midnight(now: datetime) -> datetime:
    return now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)


def _worker(health: Health, running: int) -> str:
    if not health.node.running:
        return "stopped"
    if health.node.worker_pid is None:
        return "loading"
    return "busy" if running else "idle"


def _days_left(health: Health, rate: float | None) -> float | None:
    if not rate:
        return None
    return max(0.0, (health.disk.free_mb - health.disk.reserve_mb) * MEGABYTE / rate)


def _peers(node: Services, health: Health, callers: Sequence[Caller]) -> tuple[PeerLine, ...]:
    names = {destination.ae_title: destination for destination in health.destinations}
    admitted = {caller.calling_ae for caller in callers if caller.admitted}
    own = node.settings.node.ae_title
    if node.settings.peer(own) is None:
        admitted.discard(own)  # `check` calls so, which is no peer
    return tuple(
        _peer(name, names.get(name), [caller for caller in callers if caller.calling_ae == name], health)
        for name in sorted(names.keys() | admitted)
    )


def _peer(name: str, destination: Destination | None, callers: Sequence[Caller], health: Health) -> PeerLine:
    last_seen = max((caller.admitted_at for caller in callers if caller.admitted_at), default=None)
    errors = [(caller.rejected_at, caller.reason) for caller in callers if caller.rejected_at]
    errors += [
        (entry.last_at, f"{UID(entry.sop_class_uid).name} {entry.reason.words}")
        for entry in health.not_kept
        if entry.peer == name and entry.reason is not Refused.DROPPED
    ]
    errors += [(entry.last_at, entry.reason.words) for entry in health.refused_calls if entry.peer == name]
    error_at, error = max(errors, key=itemgetter(0), default=(None, None))
    mended = error_at is not None and last_seen is not None and last_seen > error_at
    problem = next((problem for problem in health.problems if problem.destination == name), None)
    if problem is not None:
        error, error_at, mended = f"{problem.objects} objects not sent: {problem.reason}", None, False
    return PeerLine(
        ae_title=name,
        last_seen=last_seen,
        last_success=None if destination is None else destination.last_success,
        outstanding=0 if destination is None else destination.outstanding,
        parked=0 if destination is None else destination.parked,
        error=error,
        error_at=error_at,
        mended=mended,
    )
