"""The worker's process from inside: what it is made of, and its loop.

TensorFlow is loaded here, by `open_analyst`: the listening process never calls it, nor imports this module.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from datetime import timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from scp import archives, logs, product
from scp.configuration.settings import Settings
from scp.process import limits, locks, memory, parent, threads
from scp.working import team_sizes
from scp.working.heartbeats import Heartbeats
from scp.working.messages import AWAKE, BEGIN, FINISHED, READY, SETTINGS, STOP
from scp.working.worker import Worker
from storage.database.engine import Database
from storage.errors import StorageError
from storage.records import Job, JobKind

if TYPE_CHECKING:
    from inference.pipeline import Analyst

log = structlog.get_logger(__name__)

NETWORKS: Final = "networks"
"""Folder of the data directory that keeps compiled networks; who deletes it makes the next start slower."""
UNUSED_SECONDS: Final = 30 * 86_400.0
"""After so long without a start the networks of a machine are removed; it would compile them again."""
NICE: Final = 10
"""Of nice(2): an image that arrives goes first, for its sender waits; the results of others can."""
IDLE_SECONDS: Final = 1.0
"""How long an idle worker waits before it looks by itself: for what falls due with time."""
SHARING_IDLE_SECONDS: Final = 5.0
"""The same where there are many workers on one database, which are woken over it."""


def main(settings: Settings, number: int, owner: str, pipe: Connection) -> None:
    """Do jobs until told to stop, as the worker ``number`` of the node.

    The parent decides about signals; without it there is nothing to do.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.umask(0o077)
    limits.forbid_core_files()
    parent.end_with_parent()
    limits.give_way(NICE)
    memory.keep()
    logs.configure(settings.log)
    database = Database.open(settings.node.data_dir, url=settings.database.server)
    try:
        supervisor = _Supervisor(pipe, settings)
        worker = _make_worker(settings, owner, database, supervisor)
        # where there are roles, others have workers of that number in the same data directory
        shared = settings.node.shares
        with (
            nullcontext() if shared else locks.worker_lock(settings.node.data_dir, number),
            worker.heartbeats,
        ):
            limits.limit_memory(settings.worker.job_memory_mb)
            limits.spare_loaded_modules()
            pipe.send_bytes(READY)
            _do_jobs(worker, supervisor, SHARING_IDLE_SECONDS if shared else IDLE_SECONDS)
    except (BrokenPipeError, EOFError):
        return  # the parent is gone
    finally:
        database.close()


def open_analyst(
    settings: Settings, meanwhile: Callable[[], None] = lambda: None, *, computing: int | None = None
) -> Analyst:
    """Load the configured network, its hash checked. Raises ManifestError or ModelError with a sentence.

    ``meanwhile`` is called while the network is tried: TensorFlow computes beside what loads modules. So many
    threads are ``computing`` for the network, as many as pay for one image where no number is given.
    """
    # imported here: TensorFlow comes with them, and the loop of the worker needs none of it
    from inference.analysis.classifier import DEFAULT_THREADS, Classifier  # noqa: PLC0415
    from inference.network import engine  # noqa: PLC0415

    if settings.worker.device == "gpu":
        if cards := engine.use_graphics_cards():
            log.info("network computes on a graphics card", cards=", ".join(cards))
        else:
            log.warning(
                "no graphics card can be used, the network computes on the processor: "
                '[worker] device = "gpu" needs a card with NVIDIA\'s driver, and the extra cuda'
            )
    manifest, cache = product.read_manifest(settings.model), _compiled(settings)
    computing = DEFAULT_THREADS if computing is None else min(computing, DEFAULT_THREADS)
    engine.fix_computation(computing)
    with ThreadPoolExecutor(1) as beside:
        classifier = beside.submit(
            Classifier.open, manifest, threads=computing, batch=settings.worker.batch, cache=cache
        )
        # imported here: what has begun above needs none of it
        from inference.analysis.gate import Gate  # noqa: PLC0415
        from inference.pipeline import Analyst  # noqa: PLC0415

        meanwhile()
        return Analyst(
            gate=Gate.open(manifest, threads=computing, cache=cache),
            classifier=classifier.result(),
            options=settings.outputs.options(),
            reading=settings.node.reading(),
        )


def _load_jobs() -> None:
    """Load what jobs are done with: the dictionaries of highdicom and pydicom take a while."""
    from scp.working import analysis_job, report_job  # noqa: F401, PLC0415


def _compiled(settings: Settings) -> Path | None:
    """Return the folder of this machine's compiled networks; None where there is no data directory.

    Where machines share that, each has a folder, and those of machines that are gone for long go here.
    """
    data_dir = settings.node.data_dir
    if not data_dir.is_dir():
        return None
    if not settings.node.shares:
        return data_dir / NETWORKS
    folder = data_dir / NETWORKS / socket.gethostname()  # compiled for the processor of this machine
    with suppress(OSError):  # a folder that cannot be touched or removed costs room alone
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.utime(folder)
        for machine in folder.parent.iterdir():
            if machine.is_dir() and time.time() - machine.stat().st_mtime > UNUSED_SECONDS:
                shutil.rmtree(machine, ignore_errors=True)
    return folder


class _Supervisor:
    """What watches this worker, at the other end of ``pipe``."""

    def __init__(self, pipe: Connection, settings: Settings) -> None:
        self._pipe = pipe
        self._settings = settings
        self.says_stop = False

    def announce(self) -> None:
        """Say that a job begins."""
        self._pipe.send_bytes(BEGIN)

    def finished(self) -> None:
        """Say that a job has ended."""
        self._pipe.send_bytes(FINISHED)

    def proceed(self) -> bool:
        """Say that a job of a batch has ended; tell whether the next one may begin."""
        self.finished()
        self.listen(0)
        return not self.says_stop

    def pause(self, seconds: float) -> bool:
        """Wait so long, or until told to stop; tell whether work goes on."""
        until = time.monotonic() + seconds
        while not self.says_stop and (remaining := until - time.monotonic()) > 0:
            self.listen(remaining)
        return not self.says_stop

    def listen(self, seconds: float) -> bool:
        """Wait so long for a message; do what it says, and those behind it. Tell whether one came."""
        came = False
        while not self.says_stop and self._pipe.poll(0 if came else seconds):
            came = True
            message = self._pipe.recv_bytes()
            if message == STOP:
                self.says_stop = True
            elif message.startswith(SETTINGS):
                self._settings.adopt(Settings.model_validate_json(message.removeprefix(SETTINGS)))
                logs.configure(self._settings.log)
            else:
                self._pipe.send_bytes(AWAKE)
        return came


def _do_jobs(worker: Worker, supervisor: _Supervisor, idle: float) -> None:
    """Do jobs, and between them what the supervisor says; without any, look again after ``idle`` seconds."""
    holds_a_job = worked = False
    while not supervisor.says_stop:
        try:
            if holds_a_job:
                worker.give_back()
                holds_a_job = False
            busy = worker.step() is not None
        except StorageError as error:
            log.warning("storage fails, the worker waits and tries again", reason=str(error))
            busy, holds_a_job = False, True
        if busy:
            supervisor.finished()
            worked = True
        busy |= supervisor.listen(0 if busy else idle)  # after a message look for work at once
        if worked and not busy:  # nothing has come for a while
            memory.give_back()
            worked = False


def _make_worker(settings: Settings, owner: str, database: Database, supervisor: _Supervisor) -> Worker:
    archive = archives.open_archive(settings)
    analyst = open_analyst(settings, _load_jobs, computing=team_sizes.of_network(settings))
    from scp.working.analysis_job import AnalysisJob  # noqa: PLC0415 - loaded by now
    from scp.working.report_job import ReportJob, needed_kinds  # noqa: PLC0415 - as above

    analyse = AnalysisJob(database=database, archive=archive, analyst=analyst, now=database.now)
    rule = product.flag_rule(settings.model)
    report = ReportJob(
        database=database,
        archive=archive,
        device=product.device(settings.node.ae_title),
        analyst=analyst,
        rule=rule,
        options=settings.outputs.options(),
        takes=settings.takes,
        kinds=partial(needed_kinds, settings),
        reading=settings.node.reading(),
        now=database.now,
        distribute=threads.Team(team_sizes.of_report(settings)).distribute,
    )

    def announced(do: Callable[[Job], None]) -> Callable[[Job], None]:
        def run(job: Job) -> None:
            supervisor.announce()
            do(job)

        return run

    return Worker(
        owner=owner,
        database=database,
        archive=archive,
        heartbeats=Heartbeats(
            database=database, lease=timedelta(seconds=settings.worker.lease_seconds), now=database.now
        ),
        do={JobKind.ANALYSE: announced(analyse), JobKind.REPORT: announced(report)},
        now=database.now,
        batch=settings.worker.batch,
        batch_wait=timedelta(milliseconds=settings.worker.batch_wait_ms),
        analyse_ahead=partial(analyse.analyse_ahead, announce=supervisor.announce),
        pause=supervisor.pause,
        proceed=supervisor.proceed,
    )
