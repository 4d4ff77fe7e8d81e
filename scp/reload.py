"""The configuration is read again while the node runs (SIGHUP): peers and some other sections change."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog
from pydantic import ValidationError

from scp.configuration import settings as configuration
from scp.configuration.errors import ConfigError, sentences
from scp.configuration.settings import RELOADED, Settings
from scp.process import parent
from storage.errors import StorageError

log = structlog.get_logger(__name__)

STOP_SECONDS: Final = 1.0
"""How long a reload under way may take when the node ends."""


class Reloader:
    """Reads the configuration again at each `request`, in a thread of its own.

    A file that cannot be used changes nothing. What is under way goes on as it began.

    Parameters
    ----------
    settings
        In force; the whole node holds this very object.
    path
        The configuration file.
    followers
        Called once new settings are in force: who has a copy of them, or keeps something made of them.

    """

    def __init__(self, settings: Settings, path: Path, followers: Sequence[Callable[[], object]]) -> None:
        self._settings = settings
        self._path = path
        self._followers = followers
        self._requested = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reload", daemon=True)

    def start(self) -> None:
        """Begin to wait for requests."""
        self._thread.start()

    def request(self) -> None:
        """Let the configuration be read again soon. May be called by a signal handler."""
        self._requested.set()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._requested.set()
        self._thread.join(STOP_SECONDS)

    def reload(self) -> bool:
        """Read the file, and put its sections in force that may change now; tell whether it was of use."""
        try:
            read = configuration.load(self._path, os.environ)
            merged = self._merged(read)
        except ConfigError as error:
            log.error("configuration not reloaded, the one before stays in force", reason=str(error))  # noqa: TRY400 - sentences
            return False
        changed = [name for name in RELOADED if getattr(merged, name) != getattr(self._settings, name)]
        restart = configuration.other_keys(self._settings, read)
        self._settings.adopt(merged)
        for follow in self._followers:
            try:
                follow()
            except StorageError as error:
                log.warning("the reload is not whole, repeat it later", reason=str(error))
        log.info("configuration reloaded", changed=changed, peers=len(merged.peers))
        if restart:
            log.warning("configuration has changes that only a restart puts in force", keys=restart)
        return True

    def _merged(self, read: Settings) -> Settings:
        """Return the settings in force with the sections of ``read`` that may change now."""
        try:
            return self._settings.merged(read)
        except ValidationError as error:  # good with its other sections, which are not in force
            document = read.model_dump(mode="json")
            problems = sentences(error, document, Settings, {})
            raise ConfigError(
                self._path, [f"{problem} (or restart the node)" for problem in problems]
            ) from error

    def _run(self) -> None:
        while self._requested.wait() and not self._stopping.is_set():
            self._requested.clear()
            parent.notify(parent.reloading("reading the configuration again"))
            try:
                self.reload()
            except Exception:
                # an unforeseen fault must not end the thread: the settings before stay in force
                log.exception("configuration not reloaded, the one before stays in force")
            parent.notify(parent.READY)
