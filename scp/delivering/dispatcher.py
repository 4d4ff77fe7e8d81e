"""Keeps deliveries going: one thread per destination at a time, so that none waits for another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime

import structlog

from scp import retry_policy
from scp.delivering.bell import Bell
from scp.delivering.commitment_request import Notary
from scp.delivering.sender import Courier
from storage.database.engine import Database
from storage.errors import StorageError
from storage.queue import commitments, deliveries

log = structlog.get_logger(__name__)


class Dispatcher:
    """Owns the threads that deliver. `start`, then `stop`; `ring` when something new is owed."""

    def __init__(
        self, *, database: Database, courier: Courier, notary: Notary, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._courier = courier
        self._notary = notary
        self._now = now
        self._bell = Bell()
        self._stopping = threading.Event()
        self._running: dict[str, threading.Thread] = {}
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def ring(self) -> None:
        """Look at the outbox now."""
        self._bell.ring()

    def stop(self, seconds: float) -> bool:
        """Begin nothing new, wait at most ``seconds`` for what is under way; tell whether all of it ended.

        What is cut off stays owed: its row says so until the peer's answer is recorded.
        """
        deadline = time.monotonic() + seconds
        self._stopping.set()
        self._bell.ring()
        for thread in (self._thread, *self._running.values()):
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._running.values())

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._send_out()
            except (StorageError, RuntimeError) as error:  # RuntimeError: no thread to be had now
                log.warning("deliveries cannot be begun now, trying again", reason=str(error))
            self._bell.wait(retry_policy.OUTBOX_SECONDS)

    def _send_out(self) -> None:
        with self._database.read() as tx:
            now = self._now()
            to_send = deliveries.due_destinations(tx, now=now)
            to_ask = commitments.due_destinations(tx, now=now)
        for destination in sorted({*to_send, *to_ask}):
            under_way = self._running.get(destination)
            if under_way is None or not under_way.is_alive():
                # daemon threads: a peer that hangs must not keep the process from ending
                thread = threading.Thread(
                    target=self._deliver, args=(destination,), name=f"deliver-{destination}", daemon=True
                )
                self._running[destination] = thread
                thread.start()

    def _deliver(self, destination: str) -> None:
        """Send what is due, then ask for the commitment to keep it; neither's fault stops the other."""
        try:
            while self._courier.deliver(destination) and not self._stopping.is_set():
                pass  # more may have fallen due meanwhile
        except Exception:
            # An unforeseen fault with one destination must not end the deliveries to the others.
            log.exception("delivery failed, trying again later", destination=destination)
            self._courier.postpone(destination)
        if self._stopping.is_set():
            return
        try:
            self._notary.ask(destination)
        except Exception:
            log.exception("storage commitment failed, trying again later", destination=destination)
            self._notary.postpone(destination)
