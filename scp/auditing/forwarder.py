"""The thread that sends what waits in the spool, in order, again and again until the receiver has it."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from scp import retry_policy
from scp.auditing import syslog
from scp.auditing.syslog import Transport
from scp.auditing.trail import NO_TRAIL, Trail
from scp.configuration.settings import Settings
from scp.network import tls_reasons
from scp.network.tls import FilesError
from scp.process import locks
from storage.audit_spool import AuditSpool

log = structlog.get_logger(__name__)

AT_ONCE: Final = 100
LOOK_SECONDS: Final = 1.0
"""The console's process adds messages, too, without a word to this one."""


class Forwarder:
    """Empties the spool. `start`, and `stop` in the end. ``wake`` is set where a message was added."""

    def __init__(
        self,
        spool: AuditSpool,
        transport: Transport,
        wake: threading.Event,
        may_send: Callable[[], bool] = lambda: True,
    ) -> None:
        """``may_send`` tells whether it is still for this process to send: it is asked before each round."""
        self._spool = spool
        self._transport = transport
        self._wake = wake
        self._may_send = may_send
        self._stopping = threading.Event()
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)

    def start(self) -> None:
        """Send what waits, and what comes, until `stop`."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Send what waits, as far as that takes no longer than ``seconds``; the rest stays."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            stopping = self._stopping.is_set()
            self._wake.clear()
            try:
                self._send_all()
            except (OSError, FilesError) as error:
                self._tell(error)
                pause = retry_policy.AUDIT.wait(self._failures).total_seconds()
                self._stopping.wait(pause)
            if stopping:
                break
            self._wake.wait(LOOK_SECONDS)
        self._transport.close()

    def _send_all(self) -> None:
        while self._may_send() and (files := self._spool.oldest(AT_ONCE)):
            if not (messages := list(_messages(files))):
                return  # another process has sent all of these
            self._transport.send(messages)
            self._spool.remove(files)
            if self._failures:
                log.warning("audit messages are taken again")
            self._failures = 0

    def _tell(self, error: OSError | FilesError) -> None:
        """Say so once, not at every try."""
        self._failures += 1
        if self._failures == 1:
            reason = tls_reasons.reason_of(error) if isinstance(error, ssl.SSLError) else str(error)
            log.error("audit messages cannot be sent, they wait on the disk", reason=reason)


def _messages(files: Iterable[Path]) -> Iterator[bytes]:
    """Give what is in ``files``, but for those that another process has sent meanwhile."""
    for file in files:
        with suppress(FileNotFoundError):
            yield file.read_bytes()


def begin(settings: Settings) -> tuple[Trail, Callable[[float], None]]:
    """Begin to send; return what messages are given to, and what ends it within so many seconds."""
    if not settings.audit.on:
        return NO_TRAIL, lambda _: None
    wake = threading.Event()
    trail = Trail(settings=settings, added=wake.set)
    return trail, forward(settings, trail, wake)


def forward(
    settings: Settings,
    trail: Trail,
    wake: threading.Event | None = None,
    may_send: Callable[[], bool] = lambda: True,
) -> Callable[[float], None]:
    """Begin to send what waits for ``trail`` as long as this process ``may_send``.

    Return what ends it within so many seconds.
    """
    if not settings.audit.on:
        return lambda _: None
    trail.spool.remove_unfinished()
    transport = syslog.transport(settings.audit, settings.tls)
    forwarder = Forwarder(trail.spool, transport, wake or threading.Event(), may_send)
    forwarder.start()
    return forwarder.stop


def forward_own(settings: Settings, trail: Trail) -> Callable[[float], None]:
    """Begin to send what waits in this data directory, which no other machine has.

    Of several processes on this machine that share it one sends. Return what ends it within so many seconds.
    """
    if not settings.audit.on:
        return lambda _: None
    turn = locks.Turn(settings.node.data_dir, locks.AUDIT_LOCK)
    end = forward(settings, trail, may_send=turn.held)

    def end_and_give_up(seconds: float) -> None:
        end(seconds)
        turn.give_up()

    return end_and_give_up
