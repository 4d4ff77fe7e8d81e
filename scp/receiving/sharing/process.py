"""A process that receives beside the one that listens, from inside: what it is made of, and its loop."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import nullcontext
from multiprocessing.connection import Connection
from typing import Final

import structlog

from scp import archives, logs
from scp.auditing.trail import NO_TRAIL, Trail
from scp.configuration.settings import Settings
from scp.process import limits, locks, memory, parent
from scp.process.child import received, received_descriptor
from scp.receiving import store
from scp.receiving.admission import Admission
from scp.receiving.calls import CallCounts
from scp.receiving.receptions import Receptions
from scp.receiving.refusals import Refusals
from scp.receiving.server import end_associations
from scp.receiving.sharing import messages
from scp.receiving.sharing.guests import GuestListener, Guests, GuestServer
from storage.database.engine import Database
from storage.database.postgresql.guard import Company

log = structlog.get_logger(__name__)

STOP_SECONDS: Final = 10.0
"""How long open associations may take to end."""
CLEAN_SECONDS: Final = 1.0
"""Between two looks for associations that have died."""


def main(settings: Settings, pipe: Connection) -> None:
    """Keep what comes over the connections that ``pipe`` brings, until it says stop or is closed.

    The parent decides about signals; without it there is nothing to do.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o077)
    limits.forbid_core_files()
    memory.keep_none()
    logs.configure(settings.log)
    shares = settings.node.shares
    with nullcontext() if shares else locks.receiving_lock(settings.node.data_dir):
        parent.end_with_parent()
        company = Company.ROLES if shares else None
        database = Database.open(settings.node.data_dir, url=settings.database.server, company=company)
        try:
            _receive(settings, database, _Parent(pipe))
        finally:
            database.close()


class _Parent:
    """The process that listens, at the other end of ``pipe``. Safe for use from many threads."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe
        self._lock = threading.Lock()

    def tell(self, message: bytes) -> None:
        """Send ``message``. Where it has gone this process ends soon, too."""
        try:
            with self._lock:
                self.pipe.send_bytes(message)
        except OSError:
            log.debug("the process that listens is gone")


def _receive(settings: Settings, database: Database, listening: _Parent) -> None:
    trail = Trail(settings=settings) if settings.audit.on else NO_TRAIL
    archive = archives.open_archive(settings)
    listener = GuestListener(
        settings=settings,
        receiver=store.receiver(
            settings,
            database,
            archive,
            now=database.now,
            arrived=lambda: listening.tell(messages.ARRIVED),
        ),
        admission=Admission(settings),  # asked nothing: who comes here is admitted
        association_ended=lambda: None,
        refusals=Refusals(database=database, now=database.now, settings=settings),
        calls=CallCounts(database=database, now=database.now),
        trail=trail,
        receptions=Receptions(trail=trail),
        guests=Guests(lambda number: listening.tell(messages.numbered(messages.ENDED, number))),
    )
    server = listener.server()
    ended = threading.Event()
    cleaning = threading.Thread(target=_clean, args=(listener.clean_up, ended), name="cleaning", daemon=True)
    cleaning.start()
    limits.spare_loaded_modules()
    listening.tell(messages.READY)
    _listen(settings, server, listening)
    database.hurry(STOP_SECONDS)
    if not end_associations([server], STOP_SECONDS):
        listening.tell(messages.CUT_OFF)
    ended.set()
    cleaning.join()
    listener.clean_up()


def _listen(settings: Settings, server: GuestServer, listening: _Parent) -> None:
    """Do what the process that listens says, until it says stop or is gone."""
    while (message := received(listening.pipe)) not in {None, messages.STOP}:
        assert message is not None  # noqa: S101 - mypy does not see it in the line above
        if message.startswith(messages.CALLER):
            number, request = messages.parts(message, messages.CALLER)
            connection = socket.socket(fileno=received_descriptor(listening.pipe))
            listening.tell(messages.numbered(messages.RECEIPT, number))
            server.begin(number, connection, request, seconds=settings.node.acse_timeout_seconds)
        elif message.startswith(messages.SETTINGS):
            settings.adopt(Settings.model_validate_json(message.removeprefix(messages.SETTINGS)))
            logs.configure(settings.log)


def _clean(clean_up: Callable[[], None], ended: threading.Event) -> None:
    while not ended.wait(CLEAN_SECONDS):
        try:
            clean_up()
        except Exception:
            log.exception("what has ended is cleaned up later: this is a fault of the node")
