"""Keeps deliveries going: one thread per destination at a time, so that none waits for another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime

import structlog

from scp import retry_policy
from scp.delivering.commitment_answer import CommitmentAnswers
from scp.delivering.commitment_request import CommitmentRequester
from scp.delivering.sender import Sender
from storage.database.engine import Database
from storage.errors import StorageError
from storage.queue import commitment_questions, commitments, deliveries

log = structlog.get_logger(__name__)


class Dispatcher:
    """Owns the threads that deliver. `start`, then `stop`; `wake` when something new is owed."""

    def __init__(
        self,
        *,
        database: Database,
        sender: Sender,
        commitment_requester: CommitmentRequester,
        commitment_answers: CommitmentAnswers,
        now: Callable[[], datetime],
        may_send: Callable[[], bool] = lambda: True,
    ) -> None:
        """``may_send`` tells whether it is still for this process to speak to peers."""
        self._database = database
        self._sender = sender
        self._commitment_requester = commitment_requester
        self._commitment_answers = commitment_answers
        self._now = now
        self._may_send = may_send
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._threads: dict[str, threading.Thread] = {}
        """The last thread of each destination."""
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def wake(self) -> None:
        """Look at the outbox now."""
        self._woken.set()

    def stop(self, seconds: float) -> bool:
        """Begin nothing new, wait at most ``seconds`` for what is under way; tell whether all of it ended.

        What is cut off stays owed: its row says so until the peer's answer is recorded.
        """
        deadline = time.monotonic() + seconds
        self._stopping.set()
        self._woken.set()
        for thread in (self._thread, *self._threads.values()):
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads.values())

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._send_out()
            except (StorageError, RuntimeError) as error:  # RuntimeError: no thread to be had now
                log.warning("deliveries cannot be begun now, trying again", reason=str(error))
            self._woken.wait(retry_policy.OUTBOX_SECONDS)
            # cleared before the outbox is read: what is owed meanwhile wakes this thread once more
            self._woken.clear()

    def _send_out(self) -> None:
        with self._database.read() as tx:
            now = self._now()
            to_send = deliveries.due_destinations(tx, now=now)
            to_ask = commitments.due_destinations(tx, now=now)
            to_tell = commitment_questions.due_peers(tx, now=now)
        for destination in sorted({*to_send, *to_ask, *to_tell}):
            under_way = self._threads.get(destination)
            if under_way is None or not under_way.is_alive():
                # daemon threads: a peer that hangs must not keep the process from ending
                thread = threading.Thread(
                    target=self._deliver, args=(destination,), name=f"deliver-{destination}", daemon=True
                )
                self._threads[destination] = thread
                thread.start()

    def _deliver(self, destination: str) -> None:
        """Send what is due, ask for its commitment, tell what is kept; a fault in one stops no other."""
        if self._ending():
            return
        try:
            while self._sender.deliver(destination) and not self._stopping.is_set():
                pass  # more may have fallen due meanwhile
        except Exception:
            # An unforeseen fault with one destination must not end the deliveries to the others.
            log.exception("delivery failed, trying again later", destination=destination)
            self._postpone(self._sender.postpone, destination)
        if self._ending():
            return
        try:
            self._commitment_requester.ask(destination)
        except Exception:
            log.exception("storage commitment failed, trying again later", destination=destination)
            self._postpone(self._commitment_requester.postpone, destination)
        if self._ending():
            return
        try:
            self._commitment_answers.tell(destination)
        except Exception:
            log.exception("peer not told what is kept, trying again later", peer=destination)
            self._postpone(self._commitment_answers.postpone, destination)

    def _postpone(self, postpone: Callable[[str], None], destination: str) -> None:
        """Put off what is due after a fault; once another process has taken over, that process decides."""
        if self._may_send():
            postpone(destination)

    def _ending(self) -> bool:
        """Tell whether nothing new is begun, because the node ends or another process has taken over."""
        return self._stopping.is_set() or not self._may_send()
