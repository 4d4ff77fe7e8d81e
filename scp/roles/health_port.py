"""A port for those that watch a process: ``/healthz`` and ``/readyz``, nothing else."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, TypeAlias

import structlog

from scp.configuration.settings import Settings
from scp.roles.entrances import StartError

log = structlog.get_logger(__name__)

MOST_CALLERS: Final = 32
"""At a time; each holds a thread of a process that has other work."""
CALL_SECONDS: Final = 5.0
"""How long a call may take, its request and its answer together."""

_Request: TypeAlias = socket.socket | tuple[bytes, socket.socket]
"""As the base class has it; of TCP always a socket."""
Obstacles = Callable[[], Sequence[str]]
"""Returns why the process cannot do its work now."""


class HealthPort:
    """Answers as the console does. `start`, and `stop` in the end."""

    def __init__(self, settings: Settings, obstacles: Obstacles) -> None:
        """Listen where the configuration wants it. Raises StartError."""
        self._server: _Server | None = None
        health = settings.health
        if not health.port:
            return

        class Handler(_Handler):
            why_not = staticmethod(obstacles)

        try:
            self._server = _Server((health.host, health.port), Handler)
        except OSError as error:
            raise StartError(
                f"cannot listen at [health] host = {health.host!r}, port = {health.port} ({error.strerror}): "
                "is another program there, or the address not this machine's?"
            ) from error
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    def stop(self) -> None:
        """Answer nobody any more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _Server(ThreadingHTTPServer):
    """Closes the connections of callers that are too many or too slow."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._deadlines: dict[_Request, float] = {}
        super().__init__(address, handler)

    def process_request(self, request: _Request, client_address: object) -> None:
        """Let a thread answer, where there is one for it."""
        if len(self._deadlines) >= MOST_CALLERS:
            self.shutdown_request(request)
            return
        self._deadlines[request] = time.monotonic() + CALL_SECONDS
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """Hang up on those whose time is over; `serve_forever` comes here twice a second."""
        now = time.monotonic()
        for connection in [call for call, deadline in self._deadlines.copy().items() if deadline < now]:
            with contextlib.suppress(OSError):  # it has ended just now
                if isinstance(connection, socket.socket):
                    connection.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: _Request) -> None:
        """End a call, however it went."""
        super().shutdown_request(request)
        self._deadlines.pop(request, None)

    def handle_error(self, request: _Request, client_address: object) -> None:  # noqa: ARG002 - the base class names it
        """Say in the log what ended a call; a caller that leaves is nobody's fault."""
        error = sys.exception()
        if isinstance(error, ConnectionError | TimeoutError):
            log.debug("a caller of the health port has left", caller=client_address, reason=str(error))
        else:
            log.error("fault of the health port", exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    """Answers one request of a probe."""

    timeout = CALL_SECONDS
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

    def send_response(self, code: int, message: str | None = None) -> None:
        """Begin an answer that names no software: strangers may call, too."""
        self.send_response_only(code, message)
        self.send_header("Date", self.date_time_string())

    def log_message(self, *_: object) -> None:
        """Say nothing: a probe comes every few seconds."""

    def _answer(self, code: HTTPStatus, answer: object) -> None:
        body = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
