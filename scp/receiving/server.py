"""pynetdicom's server behind a gate: an association begins when its whole request is there, in a thread."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from itertools import chain
from socketserver import ThreadingMixIn
from typing import Any, Final

import structlog
from pynetdicom.association import Association
from pynetdicom.pdu import A_ASSOCIATE_RQ

from scp.network.pynetdicom_fixes.association_requests import ReadRequestServer, read_request, server_of
from scp.network.pynetdicom_fixes.connections import hang_up
from scp.receiving.callers import Caller
from scp.receiving.connection_gate import ConnectionGate

log = structlog.get_logger(__name__)

ABORT_SECONDS: Final = 2.0
"""How long peers may take to hang up after an abort."""


HandOver = Callable[[Caller, A_ASSOCIATE_RQ], bool]
"""Gives a caller without TLS and its request to another process; tells whether that one has it now."""


def keep_here(_caller: Caller, _request: A_ASSOCIATE_RQ) -> bool:
    """Hand nobody over."""
    return False


class Server(ReadRequestServer):
    """Listens at one port. The gate accepts, reads requests and counts callers; the library does the rest."""

    request_queue_size = 4096
    """Connections that may wait to be accepted: the system's own limit is lower. With the default of 5 a
    burst is answered a second late."""

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - the library's
        gate: ConnectionGate,
        hand_over: HandOver = keep_here,
        **kwargs: Any,  # noqa: ANN401 - the library's
    ) -> None:
        self.gate = gate
        self._hand_over = hand_over
        self._asking: dict[Any, tuple[Caller, A_ASSOCIATE_RQ]] = {}
        super().__init__(*args, **kwargs)

    def serve_forever(self, poll_interval: float = 0.5) -> None:  # noqa: ARG002 - the signature is Python's
        """Accept callers until `shutdown`."""
        assert self.socket is not None  # noqa: S101 - it is bound when the server is made
        self.gate.serve(self.socket, self._let_in)

    def _let_in(self, caller: Caller) -> None:
        """Give ``caller`` a thread. The library's type knows plain connections alone."""
        try:
            ThreadingMixIn.process_request(self, caller, caller.address)  # type: ignore[arg-type]
        except RuntimeError as error:  # no thread to be had now
            log.warning("connection closed: no thread for it now", reason=str(error), address=caller.address)
            self._close(caller)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002 - the library's
        """Begin an association with a caller whose request is good; close any other."""
        caller: Caller = request
        try:
            with_tls = not caller.received
            if with_tls and not self.gate.secured(caller):
                self._close(caller)
                return
            try:
                pdu = read_request(bytes(caller.received))
            except Exception as error:  # noqa: BLE001 - whatever its bytes bring the library to
                self.gate.refuse_unreadable(caller, error)
                self._close(caller)
                return
            if not with_tls and self._hand_over(caller, pdu):
                self.gate.callers.leave(caller)
                caller.connection.close()  # here alone: whoever has it now goes on
                return
            address = caller.connection.getpeername()
            caller.connection.settimeout(self.gate.seconds)
            self._asking[caller.connection] = caller, pdu
            self.finish_request(caller.connection, address)
        except Exception as error:
            if not isinstance(error, OSError):  # it may have gone meanwhile
                log.exception("connection dropped: this is a fault of the node", address=caller.address)
            self._close(caller)

    def take_request(self, connection: Any, association: Association) -> A_ASSOCIATE_RQ:  # noqa: ANN401 - the library's
        """Return the request that was read over ``connection``; its caller has an ``association`` now."""
        caller, pdu = self._asking.pop(connection)
        caller.association = association
        return pdu

    def _close(self, caller: Caller) -> None:
        self.gate.callers.leave(caller)
        self._asking.pop(caller.connection, None)
        with contextlib.suppress(OSError):
            self.shutdown_request(caller.connection)

    def server_close(self) -> None:
        """Stop listening; return when every connection is an association or closed."""
        self.gate.close()
        super().server_close()

    def shutdown(self) -> None:
        """Stop accepting and listening."""
        self.server_close()


def forget_caller(association: Association) -> None:
    """Count a caller no more that is associated, or has gone."""
    if isinstance(server := server_of(association), Server):
        server.gate.callers.associated(association)


def end_associations(servers: Sequence[ReadRequestServer], seconds: float) -> bool:
    """Let the open associations finish what they send, all within so many ``seconds``; abort the others.

    Tell whether all have finished.
    """
    associations = list(chain.from_iterable(server.active_associations for server in servers))
    late = _living_after(associations, seconds)
    for association in late:
        log.warning("association aborted at the end of the time to stop")
        # a thread for each: the library waits for the association's own, and then for the peer to hang up
        threading.Thread(target=association.abort, daemon=True).start()
    for association in _living_after(late, ABORT_SECONDS):
        hang_up(association)
    return not late


def _living_after(associations: Sequence[Association], seconds: float) -> list[Association]:
    """Wait for the end of ``associations``, in all so many ``seconds``; return those that go on."""
    deadline = time.monotonic() + seconds
    for association in associations:
        association.join(max(0.0, deadline - time.monotonic()))
    return [association for association in associations if association.is_alive()]
