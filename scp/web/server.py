"""The web server: one thread of the node, with a port of its own."""

from __future__ import annotations

import socket
import threading

import uvicorn
from starlette.applications import Starlette

from scp.configuration.settings import Settings
from scp.web import entrance
from scp.web.entrance import Entrance

LONGEST_HEADERS = 16_384
"""Bytes of a request's line and headers."""


class WebServer:
    """Listens from the moment that it is made. Raises OSError where it cannot."""

    def __init__(self, settings: Settings, app: Starlette) -> None:
        family = socket.AF_INET6 if ":" in settings.stow.host else socket.AF_INET
        self._socket = Entrance.at(
            socket.create_server((settings.stow.host, settings.stow.port), family=family)
        )
        self.port: int = self._socket.getsockname()[1]
        files = settings.tls if settings.tls.on else None
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                lifespan="off",
                loop="asyncio",
                http=entrance.protocol(self._socket),
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                h11_max_incomplete_event_size=LONGEST_HEADERS,
                ssl_certfile=None if files is None else files.certificate,
                ssl_keyfile=None if files is None else files.key,
            )
        )
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="web", daemon=True
        )
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Take no more requests; give those under way so many ``seconds`` to end."""
        self._server.should_exit = True
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._server.force_exit = True
            self._thread.join(1.0)
        self._socket.close()
