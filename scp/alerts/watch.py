"""Looks again and again at what needs a person, and tells of it, in a thread of its own: servers may hang."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from scp import retry_policy, terminal
from scp.alerts import channels, conditions
from scp.alerts.book import Book
from scp.alerts.channels import ChannelError, Send
from scp.alerts.conditions import RefusalCounts
from scp.configuration.settings import Settings
from scp.errors import FAILED, OK, WRONG_USAGE, CommandError
from storage import alerts
from storage.alerts import Notice
from storage.database.engine import Database
from storage.errors import StorageError

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 60.0
"""Between two looks: what is seen at one goes out as one message."""


class AlertWatch:
    """Owns the thread. `start`, and `stop` in the end; no channel that fails stops anything else."""

    def __init__(self, *, settings: Settings, database: Database, now: Callable[[], datetime]) -> None:
        self.settings = settings
        """In force; may be replaced at any time."""
        self._database = database
        self._now = now
        self._book: Book | None = None
        self._stored: tuple[Notice, ...] = ()
        """As the database has them."""
        self._refusals = RefusalCounts()
        self._failures: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        self._stopping = threading.Event()
        # daemon: a mail server that hangs must not keep the process from ending
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """End within ``seconds``: a message under way is sent once more at the next start."""
        self._stopping.set()
        self._thread.join(seconds)

    def look(self) -> None:
        """Look once, tell what is new over each channel, and keep what was told to whom."""
        settings, now = self.settings, self._now()
        channels_in_use = channels.configured(settings.alerts)
        if self._book is None:
            with self._database.read() as tx:
                self._stored = tuple(alerts.every(tx))
            self._book = Book(self._stored)
        observation = conditions.look(settings, self._database, self._refusals, now=now)
        self._book.note(observation, channels_in_use, now=now)
        for name, send in channels_in_use.items():
            self._tell(self._book, name, send, settings, now)
        self._keep(self._book.notices)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look()
            except StorageError as error:
                log.warning("alerts cannot be looked for now, trying again", reason=str(error))
            except Exception:
                # an unforeseen fault must not end the alerts of all that follows
                log.exception("looking for alerts failed, trying again later")
            self._stopping.wait(LOOK_SECONDS)

    def _tell(self, book: Book, name: str, send: Send, settings: Settings, now: datetime) -> None:
        news = book.news(name, repeat=timedelta(hours=settings.alerts.repeat_hours), now=now)
        if not news or time.monotonic() < self._not_before.get(name, 0.0):
            return
        try:
            send(settings, news, now)
        except ChannelError as error:
            failures = self._failures[name] = self._failures.get(name, 0) + 1
            pause = retry_policy.ALERT.wait(failures).total_seconds()
            self._not_before[name] = time.monotonic() + pause
            log.warning(
                "alert not sent, trying again later", channel=name, reason=str(error), in_seconds=round(pause)
            )
            return
        self._failures.pop(name, None)
        book.mark_told(news, now=now)
        log.info(
            "alert sent",
            channel=name,
            raised=len(news.raised),
            repeated=len(news.repeated),
            over=len(news.over),
        )

    def _keep(self, notices: tuple[Notice, ...]) -> None:
        """Write down what has changed; where that cannot be done the next look tries again."""
        if notices == self._stored:
            return
        try:
            with self._database.write() as tx:
                alerts.replace(tx, notices)
            self._stored = notices
        except StorageError as error:
            log.warning("what was told cannot be written down now", reason=str(error))


def send_test(settings: Settings) -> int:
    """Send a test over every channel, and say what came of it: the command ``alert test``."""
    channels_in_use = channels.configured(settings.alerts)
    if not channels_in_use:
        raise CommandError(
            "nobody is told anything: give [alerts] mail_to with mail_host, or webhook_url", code=WRONG_USAGE
        )
    code = OK
    for name, send in channels_in_use.items():
        try:
            send(settings, None, datetime.now(UTC))
        except ChannelError as error:
            terminal.err().print(f"{name}: NOT sent: {error}", soft_wrap=True)
            code = FAILED
        else:
            terminal.out().print(f"{name}: sent")
    return code
