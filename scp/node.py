"""The composition root: builds every part, starts them in order, stops them in order."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from inference.errors import ManifestError
from inference.network import manifest
from scp import housekeeping, logs, product, schedule
from scp.alerts.watch import AlertWatch
from scp.auditing import forwarder
from scp.configuration.settings import Settings
from scp.console.supervisor import ConsoleSupervisor
from scp.delivering.commitment_answer import CommitmentAnswers
from scp.delivering.commitment_report import Reports
from scp.delivering.commitment_request import CommitmentRequester
from scp.delivering.dispatcher import Dispatcher
from scp.delivering.sender import Sender
from scp.errors import FAILED, OK
from scp.housekeeping import HousekeepingTasks
from scp.network import tls
from scp.process import limits, locks, parent
from scp.process.locks import LockError
from scp.receiving import store
from scp.receiving.admission import Admission
from scp.receiving.calls import CallCounts
from scp.receiving.coming_again import ImagesToCome
from scp.receiving.listener import Listener
from scp.receiving.receptions import Receptions
from scp.receiving.refusals import Refusals
from scp.receiving.server import Server, end_associations
from scp.reload import Reloader
from scp.working.pool import WorkerPool
from storage.archive import Archive
from storage.database.engine import Database
from storage.errors import StorageError
from storage.upkeep import clean_end, restoring

if TYPE_CHECKING:
    from scp.web.server import WebServer

log = structlog.get_logger(__name__)

STOP_SECONDS: Final = 10.0
"""How long associations, then the job, then deliveries under way may take to end after SIGTERM."""

CONSOLE_STOP_SECONDS: Final = 5.0
"""How long answers of the console under way may take."""

ALERT_STOP_SECONDS: Final = 2.0
"""How long a message under way may take."""

SIGNAL_SECONDS: Final = 1.0
"""How often the main thread wakes by itself.

Python runs the handler of a signal in the main thread only (library reference, "signal"). A signal that comes
just before this thread sleeps, or that another thread takes, does not wake it.
"""
AUDIT_STOP_SECONDS: Final = 2.0
"""How long the last audit messages may take; what is not sent then is sent after the next start."""


class End(threading.Event):
    """Set when the node is to end; ``again`` where a new one is to take its place."""

    again = False


class StartError(Exception):
    """The node cannot start; the message says why and what to do."""


def run(settings: Settings, *, stop: End | None = None, path: Path | None = None) -> int:
    """Run the node until SIGTERM, SIGINT or ``stop``; return the exit code.

    ``path`` is the configuration file, which SIGHUP lets the node read again. At SIGUSR1 the process ends in
    order and becomes a new node, with the same process id: it takes over a backup that `restore` has staged.
    """
    os.umask(0o077)
    limits.forbid_core_files()
    limits.raise_open_files()
    stop = stop or _stop_on_signals()
    try:
        with locks.node_lock(settings.node.data_dir):
            if not settings.database.url:
                _take_over(settings.node.data_dir)
            in_order = clean_end.take(settings.node.data_dir) and not settings.database.url
            database = Database.open(
                settings.node.data_dir, url=settings.database.server, whole=not in_order, alone=True
            )
            try:
                in_order = _serve(settings, database, stop, path, in_order=in_order)
            finally:
                database.close()
                log.info("database closed")
            if in_order:
                clean_end.note(settings.node.data_dir)
    except (StartError, LockError, StorageError, ManifestError, OSError) as error:
        log.error("node cannot run", reason=str(error))  # noqa: TRY400 - a sentence, not a trace
        return FAILED
    if stop.again:
        log.info("starting again")
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this very command
    return OK


def _take_over(data_dir: Path) -> None:
    """Put a backup in the place of the database where one is staged."""
    if (change := restoring.take_over(data_dir)) is not None:
        log.warning(
            "a backup has taken the place of the database: images that came after it come in again",
            images=change.images,
            database_before="" if change.before is None else str(change.before),
        )


def _serve(settings: Settings, database: Database, stop: End, path: Path | None, *, in_order: bool) -> bool:
    """Serve until ``stop``; tell whether all came to its end then, as it had ``in_order`` before."""
    archive = Archive(settings.node.data_dir)
    manifest.verify(product.read_manifest(settings.model))
    trail, end_trail = forwarder.begin(settings)
    admission = Admission(settings)
    sender = Sender(
        settings=settings, database=database, archive=archive, now=_now, jitter=random.random, trail=trail
    )
    reports = Reports(settings=settings, database=database, now=_now, jitter=random.random)
    commitment_requester = CommitmentRequester(
        settings=settings,
        database=database,
        reports=reports,
        now=_now,
        jitter=random.random,
        new_uid=_new_uid,
    )
    commitment_answers = CommitmentAnswers(
        settings=settings, database=database, archive=archive, now=_now, jitter=random.random
    )
    dispatcher = Dispatcher(
        database=database,
        sender=sender,
        commitment_requester=commitment_requester,
        commitment_answers=commitment_answers,
        now=_now,
    )
    workers = WorkerPool(settings=settings, database=database, finished=dispatcher.wake, now=_now)
    tasks = HousekeepingTasks(
        settings=settings,
        database=database,
        archive=archive,
        senders=admission.calling_titles,
        wake_worker=workers.wake,
        now=_now,
        trail=trail,
    )
    receiver = store.receiver(settings, database, archive, now=_now, arrived=workers.wake)
    listener = Listener(
        settings=settings,
        receiver=receiver,
        admission=admission,
        association_ended=tasks.complete_studies,
        refusals=Refusals(database=database, now=_now, settings=settings),
        calls=CallCounts(database=database, now=_now),
        trail=trail,
        receptions=Receptions(trail=trail),
        more_handlers=(*reports.handlers, *commitment_answers.handlers),
    )
    tasks.recover(in_order=in_order)
    tasks.waive_commitments()
    web_server = _listen_web(listener, tasks)
    servers = _listen(listener, settings)
    workers.start()
    dispatcher.start()
    console = ConsoleSupervisor(settings)
    console.start()
    alert_watch = AlertWatch(settings=settings, database=database, now=_now)
    alert_watch.start()
    followers = [
        lambda: logs.configure(settings.log),
        tasks.waive_commitments,
        workers.follow,
        console.follow,
    ]
    reloader = _reload_on_signal(settings, path, followers)
    images_to_come = ImagesToCome(settings=settings, receiver=receiver)
    ticks = housekeeping.ticks(
        tasks, clean_associations=listener.clean_up, take_images_to_come=images_to_come.take_some
    )
    end_ticks = schedule.start(ticks, tasks.clock)
    log.info(
        "node listening",
        ae_title=settings.node.ae_title,
        host=settings.node.host,
        **{name: server.server_address[1] for name, server in servers.items()},
        **({} if web_server is None else {"stow_port": web_server.port}),
        peers=len(settings.peers),
    )
    trail.application(started=True)
    parent.notify(parent.READY)
    try:
        _wait(stop)
    finally:
        parent.notify(parent.reloading("starting again") if stop.again else parent.STOPPING)
        if reloader is not None:
            reloader.stop()
        console.stop(CONSOLE_STOP_SECONDS)
        alert_watch.stop(ALERT_STOP_SECONDS)
        requests_ended = web_server is None or web_server.stop(STOP_SECONDS)
        in_order = _stop(list(servers.values()), database, end_ticks, workers, dispatcher)
        listener.clean_up()
        trail.application(started=False)
        end_trail(AUDIT_STOP_SECONDS)
    return in_order and requests_ended and not workers.workers_died


def _listen(listener: Listener, settings: Settings) -> dict[str, Server]:
    """Open every port that is configured; return its server by the name of the port in the log."""
    ports: dict[str, tuple[Callable[[], Server], str]] = {}
    if not settings.tls.only:
        ports["port"] = (listener.start, f"[node] port = {settings.node.port}")
    if settings.tls.on:
        ports["tls_port"] = (listener.start_tls, f"[tls] port = {settings.tls.port}")
    servers: dict[str, Server] = {}
    try:
        for name, (start, key) in ports.items():
            servers[name] = _open(start, settings.node.host, key)
    except StartError:
        for server in servers.values():
            server.shutdown()
        raise
    return servers


def _listen_web(listener: Listener, tasks: HousekeepingTasks) -> WebServer | None:
    """Open the port for STOW-RS, where it is enabled: it shares what the DICOM port has."""
    settings = listener.settings
    if not settings.stow.enabled:
        return None
    # imported here: a node that takes no STOW-RS needs no web server
    from scp.web.server import WebServer  # noqa: PLC0415
    from scp.web.stow import Stow  # noqa: PLC0415

    stow = Stow(
        settings=settings,
        receiver=listener.receiver,
        admission=listener.admission,
        refusals=listener.refusals,
        calls=listener.calls,
        ended=tasks.complete_studies,
        trail=listener.trail,
        receptions=listener.receptions,
    )
    try:
        return WebServer(settings, stow.app(), listener.refusals.count_call)
    except OSError as error:
        key = f"[stow] host = {settings.stow.host!r}, port = {settings.stow.port}"
        raise StartError(
            f"cannot listen at {key} ({error.strerror}): is another program there, or the address not this "
            "machine's?"
        ) from error


def _open(start: Callable[[], Server], host: str, key: str) -> Server:
    try:
        return start()
    except tls.FilesError as error:
        raise StartError(f"cannot listen with TLS: {error}") from error
    except OSError as error:
        raise StartError(
            f"cannot listen at [node] host = {host!r}, {key} ({error.strerror}): "
            "is another program there, or the address not this machine's?"
        ) from error


def _stop(
    servers: Sequence[Server],
    database: Database,
    end_ticks: Callable[[], None],
    workers: WorkerPool,
    dispatcher: Dispatcher,
) -> bool:
    """Stop in this order, each within its bound; what is cut off is owed and goes on at the next start.

    Tell whether nothing was cut off.

    1. Listening stops: nobody new is promised anything. 2. Open associations finish what they send: their
    promises need the database. 3. Ticks stop: nothing new falls due. 4. The workers end their jobs or give
    their leases back. 5. Deliveries under way record their answers. Then the database closes.
    """
    log.info("stopping: no new associations")
    database.hurry(STOP_SECONDS)
    for server in servers:
        server.shutdown()
    associations_ended = end_associations(servers, STOP_SECONDS)
    end_ticks()
    jobs_ended = workers.stop(STOP_SECONDS)
    if not jobs_ended:
        log.warning("job cut off at the end of the time to stop, it is back in the queue")
    deliveries_ended = dispatcher.stop(STOP_SECONDS)
    if not deliveries_ended:
        log.warning("delivery cut off at the end of the time to stop, it stays owed")
    return associations_ended and jobs_ended and deliveries_ended


def _wait(stop: threading.Event) -> None:
    """Wait for ``stop``; let the handler of every signal run meanwhile, whichever thread took the signal."""
    while not stop.wait(SIGNAL_SECONDS):
        pass


def _stop_on_signals() -> End:
    stop = End()

    def start_again(*_: object) -> None:
        stop.again = True
        stop.set()

    def end(*_: object) -> None:
        stop.again = False  # who wants the end has the last word
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    signal.signal(signal.SIGUSR1, start_again)
    signal.signal(signal.SIGHUP, lambda *_: log.warning("SIGHUP ignored: the node is starting"))
    return stop


def _reload_on_signal(
    settings: Settings, path: Path | None, followers: Sequence[Callable[[], object]]
) -> Reloader | None:
    """Read the configuration again at each SIGHUP from now on; not in a test, which has no file."""
    if path is None:
        return None
    reloader = Reloader(settings, path, followers)
    reloader.start()
    signal.signal(signal.SIGHUP, lambda *_: reloader.request())
    return reloader


def _now() -> datetime:
    return datetime.now(UTC)


def _new_uid() -> str:
    """Return a UID that nobody had before (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid4().int}"
