"""What the other processes know of this one: that it lives, what it does, and who sends to it now."""

from __future__ import annotations

import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final

import structlog

from storage import machines
from storage.database.engine import Database
from storage.errors import PlaceTaken, StorageError
from storage.machines import Machine

log = structlog.get_logger(__name__)

BEAT_SECONDS: Final = 2.0
LONGEST_HOST: Final = 40
"""Characters of a host's name in that of a machine, which is part of each lease."""


class Presence:
    """Owns the row of this process. `start`, and `stop` in the end. Safe for many threads.

    Each sign of life also looks whether this process may still use the database (`Database.check_place`).
    """

    def __init__(self, database: Database, role: str) -> None:
        host = socket.gethostname()
        word = re.sub(r"[^A-Za-z0-9.-]", "-", host)[:LONGEST_HOST]
        self.name: Final = f"{word}-{role}-{os.getpid()}-{secrets.token_hex(4)}"
        """No other process ever has it: not the one that takes its place, nor one with its process id."""
        self.ready: Callable[[], bool] = lambda: False
        """Tells whether this process does its work now."""
        self.busy: Callable[[], Collection[str]] = tuple
        """Returns the AE titles that have an association open."""
        self.displaced: Callable[[PlaceTaken], None] = lambda _: None
        """Called where another node works with the database: this process must end."""
        now = database.now()
        self._machine = Machine(
            name=self.name, role=role, host=host[:64], pid=os.getpid(), started_at=now, seen_at=now
        )
        self._database = database
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._last_beat = float("-inf")
        self._stopping = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    @property
    def recent(self) -> bool:
        """Whether the database has taken a sign of life lately."""
        return time.monotonic() - self._last_beat < machines.ALIVE.total_seconds()

    def start(self) -> None:
        """Begin to live. Raises StorageError."""
        self.tell()
        self._thread.start()

    def tell(self) -> None:
        """Write down how things stand, before this returns; nothing after the end. Raises StorageError."""
        with self._lock:  # what was asked later is written later
            if self._stopping.is_set():
                return
            self._database.check_place()
            with self._database.write_beside_others() as tx:
                row = replace(
                    self._machine,
                    seen_at=self._database.now(),
                    ready=self.ready(),
                    busy=tuple(sorted(self.busy())),
                )
                machines.beat(tx, row)
            self._last_beat = time.monotonic()

    def tell_if_possible(self) -> None:
        """Write down how things stand; where that cannot be done now, the next sign of life does it.

        Who arrives waits for a server that is out of reach once at most, and not behind others who wait.
        """
        if self._left_to_thread():
            return
        with self._turn:
            if not self._left_to_thread():
                self._try_to_tell()

    def _left_to_thread(self) -> bool:
        return self._failing and threading.current_thread() is not self._thread

    def _try_to_tell(self) -> None:
        try:
            self.tell()
        except StorageError as error:
            if isinstance(error, PlaceTaken):
                self.displaced(error)
            if not self._failing:
                self._failing = True
                log.error("no sign of life can be given to the other machines", reason=str(error))  # noqa: TRY400 - a sentence, not a trace
            return
        if self._failing:
            self._failing = False
            log.warning("signs of life are given again")

    def stop(self) -> None:
        """End: nobody waits for this process any more."""
        self._stopping.set()
        if self._thread.is_alive():  # it is not where the first sign of life failed
            self._thread.join()
        try:
            with self._lock, self._database.write_beside_others() as tx:
                machines.leave(tx, self.name)
        except StorageError as error:
            log.warning("the other machines learn of the end of this one later", reason=str(error))

    def _run(self) -> None:
        while not self._stopping.wait(BEAT_SECONDS):
            self.tell_if_possible()
