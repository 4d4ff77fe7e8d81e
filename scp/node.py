"""The composition root: builds every part, starts them in order, stops them in order."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from inference.errors import ManifestError
from inference.network import manifest
from scp import archives, logs, product, schedule, ticks
from scp.alerts.watch import AlertWatch
from scp.auditing import forwarder
from scp.configuration.settings import Settings
from scp.console.supervisor import ConsoleSupervisor
from scp.delivering import assembly
from scp.delivering.dispatcher import Dispatcher
from scp.errors import FAILED, OK, CommandError
from scp.housekeeping import HousekeepingTasks
from scp.process import limits, locks, memory, parent
from scp.process.locks import LockError
from scp.receiving import store
from scp.receiving.admission import Admission
from scp.receiving.calls import CallCounts
from scp.receiving.coming_again import ImagesToCome
from scp.receiving.listener import Listener
from scp.receiving.receptions import Receptions
from scp.receiving.refusals import Refusals
from scp.receiving.server import Server
from scp.receiving.sharing.processes import ReceivingProcesses
from scp.roles import entrances, leftovers, running, signals
from scp.roles.entrances import StartError
from scp.roles.health_port import HealthPort
from scp.roles.signals import End
from scp.schedule import ClockWatch
from scp.working.pool import WorkerPool
from storage.database.engine import Database
from storage.database.postgresql.guard import Company
from storage.errors import StorageError
from storage.upkeep import clean_end, restoring, server_backup

log = structlog.get_logger(__name__)

STOP_SECONDS: Final = 10.0
"""How long associations, then the job, then deliveries under way may take to end after SIGTERM."""

CONSOLE_STOP_SECONDS: Final = 5.0
"""How long answers of the console under way may take."""

ALERT_STOP_SECONDS: Final = 2.0
"""How long a message under way may take."""

AUDIT_STOP_SECONDS: Final = 2.0
"""How long the last audit messages may take; what is not sent then is sent after the next start."""


def run(settings: Settings, *, stop: End | None = None, path: Path | None = None) -> int:
    """Run the node until SIGTERM, SIGINT or ``stop``; return the exit code.

    ``path`` is the configuration file, which SIGHUP lets the node read again. At SIGUSR1 the process ends in
    order and becomes a new node, with the same process id: it takes over a backup that `restore` has staged.
    """
    os.umask(0o077)
    limits.forbid_core_files()
    limits.raise_open_files()
    memory.keep_none()
    memory.ask_for_huge_pages()
    stop = stop or signals.stop_on_signals()
    try:
        if settings.node.shares:
            code = running.run(settings, stop=stop, path=path)
        else:
            code = _run_alone(settings, stop, path)
    except (StartError, LockError, StorageError, ManifestError, CommandError, OSError) as error:
        log.error("node cannot run", reason=str(error))  # noqa: TRY400 - a sentence, not a trace
        return FAILED
    if stop.fault is not None:
        log.error("node has ended", reason=str(stop.fault))
        return FAILED
    if stop.again:
        log.info("starting again")
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this very command
    return code


def _run_alone(settings: Settings, stop: End, path: Path | None) -> int:
    """Do everything in this process and its children."""
    data_dir = settings.node.data_dir
    with locks.node_lock(data_dir):
        _take_over(data_dir, settings.database.server)
        archives.check_start(settings)
        in_order = clean_end.take(data_dir) and not settings.database.url
        database = Database.open(
            data_dir, url=settings.database.server, whole=not in_order, company=Company.NOBODY
        )
        try:
            in_order = _serve(settings, database, stop, path, in_order=in_order)
        finally:
            database.close()
            log.info("database closed")
        if in_order:
            clean_end.note(data_dir)
    return OK


def _take_over(data_dir: Path, url: str | None) -> None:
    """Put a backup in the place of the database where one is staged."""
    change = restoring.take_over(data_dir) if url is None else server_backup.take_over(data_dir, url)
    if change is not None:
        log.warning(
            "a backup has taken the place of the database: images that came after it come in again",
            images=change.images,
            database_before="" if change.before is None else str(change.before),
        )


def _serve(settings: Settings, database: Database, stop: End, path: Path | None, *, in_order: bool) -> bool:
    """Serve until ``stop``; tell whether all came to its end then, as it had ``in_order`` before."""
    archive = archives.open_archive(settings)
    manifest.verify(product.read_manifest(settings.model))
    trail, end_trail = forwarder.begin(settings)
    admission = Admission(settings)
    delivering = assembly.assemble(settings, database, archive, trail)
    dispatcher = delivering.dispatcher
    workers = WorkerPool(settings=settings, database=database, finished=dispatcher.wake, now=database.now)
    tasks = HousekeepingTasks(
        settings=settings,
        database=database,
        archive=archive,
        senders=admission.calling_titles,
        wake_worker=workers.wake,
        now=database.now,
        trail=trail,
        clock=ClockWatch.of(database.now),
        displaced=stop.fail,
    )
    receiver = store.receiver(settings, database, archive, now=database.now, arrived=workers.wake)
    receiving = ReceivingProcesses(
        settings=settings,
        admission=admission,
        calls=CallCounts(database=database, now=database.now),
        arrived=workers.wake,
        association_ended=tasks.complete_studies,
    )
    listener = Listener(
        settings=settings,
        receiver=receiver,
        admission=admission,
        association_ended=tasks.complete_studies,
        refusals=Refusals(database=database, now=database.now, settings=settings),
        calls=receiving.calls,
        trail=trail,
        receptions=Receptions(trail=trail),
        more_handlers=delivering.commitment.handlers,
        hand_over=receiving.hand_over,
    )
    servers: dict[str, Server] = {}
    health_port = HealthPort(
        settings, lambda: [*entrances.obstacles(settings, archive, servers), *workers.obstacles]
    )
    tasks.recover()
    tasks.waive_commitments()
    first_sweep = leftovers.FirstSweep(tasks, stop.is_set, in_order=in_order or not archive.is_on_disk)
    web_server = entrances.listen_web(listener)
    servers.update(entrances.listen(listener))
    workers.start()
    receiving.start()
    dispatcher.start()
    console = ConsoleSupervisor(settings)
    console.start()
    alert_watch = AlertWatch(settings=settings, database=database, now=database.now)
    alert_watch.start()
    followers = [
        lambda: logs.configure(settings.log),
        tasks.waive_commitments,
        workers.follow,
        receiving.follow,
        console.follow,
    ]
    reloader = signals.reload_on_signal(settings, path, followers)
    node_ticks = ticks.of_node(
        tasks,
        clean_associations=listener.clean_up,
        take_images_to_come=ImagesToCome(settings=settings, receiver=receiver).take_some,
    )
    if settings.files.in_bucket:  # what could not be removed while it was away
        node_ticks.append(leftovers.of_files(tasks, stop.is_set))
    end_ticks = schedule.start(node_ticks, tasks.clock)
    first_sweep.start()
    log.info(
        "node listening",
        ae_title=settings.node.ae_title,
        host=settings.node.host,
        **{name: server.server_address[1] for name, server in servers.items()},
        **({} if web_server is None else {"stow_port": web_server.port}),
        peers=len(settings.peers),
    )
    trail.application(started=True)
    limits.spare_loaded_modules()
    parent.notify(parent.READY)
    try:
        signals.wait(stop)
    finally:
        signals.tell_end(stop, reloader)
        console.stop(CONSOLE_STOP_SECONDS)
        alert_watch.stop(ALERT_STOP_SECONDS)
        requests_ended = web_server is None or web_server.stop(STOP_SECONDS)
        ends = (
            _stop(
                partial(receiving.end_all, list(servers.values())), database, end_ticks, workers, dispatcher
            ),
            first_sweep.end(),
        )
        listener.clean_up()
        trail.application(started=False)
        end_trail(AUDIT_STOP_SECONDS)
        health_port.stop()
    return all(ends) and requests_ended and not workers.workers_died and not receiving.died


def _stop(
    end_associations: Callable[[float], bool],
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
    associations_ended = end_associations(STOP_SECONDS)
    end_ticks()
    jobs_ended = workers.stop(STOP_SECONDS)
    if not jobs_ended:
        log.warning("job cut off at the end of the time to stop, it is back in the queue")
    deliveries_ended = dispatcher.stop(STOP_SECONDS)
    if not deliveries_ended:
        log.warning("delivery cut off at the end of the time to stop, it stays owed")
    return associations_ended and jobs_ended and deliveries_ended
