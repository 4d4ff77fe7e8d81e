"""The console's process from outside: started with the node, started again when it dies, stopped with it."""

from __future__ import annotations

from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import structlog

from scp import retry_policy
from scp.configuration.settings import Settings
from scp.console.messages import LISTENING, REFUSED, SETTINGS, STOP
from scp.process.child import Child, received

log = structlog.get_logger(__name__)


class ConsoleSupervisor:
    """Owns the console's process. `start`, and `stop` in the end; it never stops the node."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._child = Child(
            "console",
            stop_message=STOP,
            wait=retry_policy.CONSOLE_START.wait,
            stable_seconds=retry_policy.STABLE_SECONDS,
        )

    def start(self) -> None:
        """Start the console, if the configuration wants it, and keep one alive until `stop`."""
        if self._settings.console.enabled:
            self._child.start(self._live)

    def follow(self) -> None:
        """Tell the console that the settings have changed; one that starts later has them from the start."""
        self._child.send(SETTINGS + self._settings.model_dump_json().encode())

    def stop(self, seconds: float) -> None:
        """End the console within ``seconds``: an upload under way is lost, nothing else is."""
        self._child.stop(seconds)

    def _live(self) -> int | None:
        """Run one console to its end; return its exit code."""
        snapshot = self._settings.model_copy()
        return self._child.run(_begin, (snapshot,), listen=partial(self._listen, snapshot))

    def _listen(self, snapshot: Settings, pipe: Connection, _process: BaseProcess) -> None:
        if snapshot != self._settings:  # they have changed while it was started
            self.follow()
        while (message := received(pipe)) is not None:
            if message.startswith(LISTENING):
                log.info("console listening", address=message.removeprefix(LISTENING).decode())
            elif message.startswith(REFUSED):
                log.error("console cannot run", reason=message.removeprefix(REFUSED).decode())


def _begin(settings: Settings, pipe: Connection) -> None:
    """Run the console. Imported in its own process alone: the node does without a web server."""
    from scp.console import process  # noqa: PLC0415

    process.main(settings, pipe)
