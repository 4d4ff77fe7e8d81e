"""The TCP server: accepts connections, and lets none that is slow delay another."""

from __future__ import annotations

import socket
from socketserver import BaseServer
from typing import Any

import structlog
from pynetdicom.transport import ThreadedAssociationServer

from scp.receiving.connection_gate import Entrance

log = structlog.get_logger(__name__)


class Server(ThreadedAssociationServer):
    """pynetdicom's server with an entrance before it, which each connection passes in a thread of its own."""

    request_queue_size = 128
    """Connections that may wait to be accepted; with the default of 5 a burst is answered a second late."""

    def __init__(self, *args: Any, entrance: Entrance, **kwargs: Any) -> None:  # noqa: ANN401 - the library's
        self._entrance = entrance
        super().__init__(*args, **kwargs)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the library's
        """Begin an association with who passes the entrance."""
        connection: socket.socket = request
        admitted = self._entrance.admit(connection, str(client_address[0]))
        if admitted is None:
            self.shutdown_request(connection)
        else:
            super().process_request_thread(admitted, client_address)

    def handle_error(self, request: object, client_address: Any) -> None:  # noqa: ANN401, ARG002 - the library's
        """Log what went wrong with one connection, which ends; the others go on."""
        address = str(client_address[0])
        log.error("connection dropped: this is a fault of the node", address=address, exc_info=True)  # noqa: LOG014 - called in an except block

    def server_close(self) -> None:
        """Stop listening; return when every connection is an association or closed."""
        self._entrance.close()
        super().server_close()

    def shutdown(self) -> None:
        """Stop accepting and listening."""
        BaseServer.shutdown(self)  # the library's own expects to be in a list that it alone keeps
        self.server_close()
