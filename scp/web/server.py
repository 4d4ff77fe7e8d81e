"""How a web server listens and is set up; the one for STOW-RS, which is a thread of the node."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette

from scp.configuration.settings import Settings
from scp.web import entrance
from scp.web.entrance import Entrance
from storage.refused import Refused

LONGEST_HEADERS: Final = 16_384
"""Bytes of a request's line and headers."""


class WebServer:
    """Listens from the moment that it is made. Raises OSError where it cannot."""

    def __init__(self, settings: Settings, app: Starlette, refused: Callable[[Refused], None]) -> None:
        self._socket = bind(settings.stow.host, settings.stow.port, refused)
        self.port: int = self._socket.getsockname()[1]
        certificate, key = (settings.tls.certificate, settings.tls.key) if settings.tls.on else (None, None)
        self._server = uvicorn.Server(configuration(app, self._socket, certificate=certificate, key=key))
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="web", daemon=True
        )
        self._thread.start()

    def stop(self, seconds: float) -> bool:
        """Take no more requests; give those under way so many ``seconds`` to end; tell whether they did."""
        self._socket.callers.hang_up()
        self._server.should_exit = True
        self._thread.join(seconds)
        cut_off = self._thread.is_alive()
        if cut_off:
            self._server.force_exit = True
            self._thread.join(1.0)
        self._socket.close()
        return not cut_off


def bind(host: str, port: int, refused: Callable[[Refused], None] = lambda _: None) -> Entrance:
    """Return the socket that listens at ``host``, an address or a name, and counts. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return Entrance.at(socket.create_server((host, port), family=family), refused)


def configuration(
    app: Starlette,
    listener: Entrance,
    *,
    certificate: Path | None,
    key: Path | None,
    end_seconds: int | None = None,
) -> uvicorn.Config:
    """Return how ``app`` is served at ``listener``: HTTP/1.1, with HTTPS where there is a certificate.

    It names no software to strangers and writes no log of requests, which may name patients. Answers under
    way may take ``end_seconds`` when it ends, or as long as whoever ends it waits.
    """
    return uvicorn.Config(
        app,
        loop="asyncio",
        http=entrance.protocol(listener),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=LONGEST_HEADERS,
        timeout_graceful_shutdown=end_seconds,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
