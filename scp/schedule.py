"""What is done again and again, by a clock that may be set: the only user of APScheduler.

Instants in tables, and the ticks of APScheduler, come from the wall clock, which a person, NTP or a paused
virtual machine may move by a day. The monotonic clock does not move with it; where the two part, the wall
clock has jumped. Then every tick is planned anew here, and `storage.upkeep.clock_repair` puts tables right.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import structlog

from storage.errors import StorageError

if TYPE_CHECKING:
    from apscheduler.schedulers.background import BackgroundScheduler

log = structlog.get_logger(__name__)

JUMP: Final = 1.0
"""Seconds by which the two clocks must part between two looks: NTP's slewing is far below."""
LOOK_SECONDS: Final = 1.0
"""How often the clock is looked at."""
LONGEST_DOUBT: Final = 86_400.0
"""Seconds after which a clock is believed again, however far it has jumped."""


class ClockWatch:
    """Compares two clocks at each `look`. Safe for use from many threads.

    Parameters
    ----------
    wall
        Seconds since the epoch, as the machine believes.
    monotonic
        Seconds since whenever, never set.

    """

    def __init__(
        self, *, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._apart = wall() - monotonic()
        self._jumped_at: float | None = None
        self._doubtful_until = monotonic()

    @classmethod
    def of(cls, now: Callable[[], datetime]) -> Self:
        """Watch the clock that ``now`` reads, which may be that of another machine."""
        return cls(wall=lambda: now().timestamp())

    def look(self) -> float:
        """Return by how many seconds the wall clock has jumped since the last look: 0 almost always."""
        with self._lock:
            now = self._monotonic()
            apart = self._wall() - now
            jump, self._apart = apart - self._apart, apart
            if abs(jump) < JUMP:
                return 0.0
            self._jumped_at = now
            self._doubtful_until = max(self._doubtful_until, now + min(abs(jump), LONGEST_DOUBT))
            return jump

    def steady_for(self, seconds: float) -> bool:
        """Tell whether no jump was seen for so many seconds: who gives a sign of life every so often has."""
        with self._lock:
            return self._jumped_at is None or self._monotonic() - self._jumped_at >= seconds

    def believed(self) -> bool:
        """Tell whether ages may be taken from the wall clock: a jump is doubted as long as it was wide."""
        with self._lock:
            return self._monotonic() >= self._doubtful_until


class Tick(NamedTuple):
    """What is called again and again."""

    task: Callable[[], object]
    seconds: float
    """Between two calls."""


def start(ticks: Iterable[Tick], clock: ClockWatch) -> Callable[[], None]:
    """Start ``ticks``; return what ends them, once those under way have returned.

    ``clock`` is the one by which the tasks reckon, that of the database. It is looked at here as well as this
    machine's own, by which APScheduler plans.
    """
    # imported here: a node listens sooner
    from apscheduler.schedulers.background import BackgroundScheduler  # noqa: PLC0415

    scheduler = BackgroundScheduler(timezone="UTC")
    for task, seconds in ticks:
        scheduler.add_job(
            as_tick(task),
            "interval",
            seconds=seconds,
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,
        )
    scheduler.start()
    ending = threading.Event()
    watching = threading.Thread(
        target=_watch, args=(ClockWatch(), clock, scheduler, ending), name="clock", daemon=True
    )
    watching.start()

    def end() -> None:
        ending.set()
        watching.join()
        scheduler.shutdown(wait=True)

    return end


def as_tick(task: Callable[[], object]) -> Callable[[], None]:
    """Return ``task`` as a tick: where storage or the disk fails, the next tick tries again."""

    def tick() -> None:
        try:
            task()
        except (StorageError, OSError) as error:
            log.warning(
                "housekeeping failed, the next tick tries again", task=task.__name__, reason=str(error)
            )

    return tick


def _watch(
    machine: ClockWatch, clock: ClockWatch, scheduler: BackgroundScheduler, ending: threading.Event
) -> None:
    """Plan every tick anew when this machine's clock was set: set back by a day, none comes for a day."""
    while not ending.wait(LOOK_SECONDS):
        jump, jump_of_tasks = machine.look(), clock.look()
        if jump:
            log.warning("the clock of this machine was set", seconds=round(jump, 1))
            for planned in scheduler.get_jobs():
                planned.modify(next_run_time=datetime.now(UTC))
        elif jump_of_tasks:
            log.warning("the clock of the database was set", seconds=round(jump_of_tasks, 1))
