"""A port for those that watch a process: ``/healthz`` and ``/readyz``, nothing else."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from scp.configuration.settings import Settings
from scp.roles.entrances import StartError

Obstacles = Callable[[], Sequence[str]]
"""Returns why the process cannot do its work now."""


class HealthPort:
    """Answers as the console does. `start`, and `stop` in the end."""

    def __init__(self, settings: Settings, obstacles: Obstacles) -> None:
        """Listen where the configuration wants it. Raises StartError."""
        self._server: ThreadingHTTPServer | None = None
        health = settings.health
        if not health.port:
            return

        class Handler(_Handler):
            why_not = staticmethod(obstacles)

        try:
            self._server = ThreadingHTTPServer((health.host, health.port), Handler)
        except OSError as error:
            raise StartError(
                f"cannot listen at [health] host = {health.host!r}, port = {health.port} ({error.strerror}): "
                "is another program there, or the address not this machine's?"
            ) from error
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    def stop(self) -> None:
        """Answer nobody any more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Answers one request of a probe."""

    timeout = 5.0
    why_not: Obstacles

    def do_GET(self) -> None:
        """Say whether the process is alive, or ready."""
        if self.path == "/healthz":
            self._answer(HTTPStatus.OK, {"status": "alive"})
        elif self.path == "/readyz":
            obstacles = list(self.why_not())
            code = HTTPStatus.SERVICE_UNAVAILABLE if obstacles else HTTPStatus.OK
            self._answer(code, {"status": "not ready" if obstacles else "ready", "obstacles": obstacles})
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, *_: object) -> None:
        """Say nothing: a probe comes every few seconds."""

    def _answer(self, code: HTTPStatus, answer: object) -> None:
        body = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
