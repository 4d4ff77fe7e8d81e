"""Associations that begin with a request that was read before, and how one is rejected.

The library gives every caller two threads at once, and reads its request there. `scp.receiving` reads it
first, and begins an association only where it is good.
"""

from __future__ import annotations

from typing import Any

from pynetdicom.association import Association
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer


def read_request(data: bytes) -> A_ASSOCIATE_RQ:
    """Return the A-ASSOCIATE-RQ ``data``, whose primitive is made once: its UIDs take milliseconds.

    Raises whatever its bytes bring the library to.
    """
    pdu = A_ASSOCIATE_RQ()
    pdu.decode(data)
    primitive = pdu.to_primitive()
    setattr(pdu, "to_primitive", lambda: primitive)  # noqa: B010 - mypy forbids to assign a method
    return pdu


class ReadRequestServer(ThreadedAssociationServer):
    """A server that has read the request of each association before it begins."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the library's
        super().__init__(*args, **{**kwargs, "request_handler": _ReadRequestHandler})

    def take_request(self, connection: Any, association: Association) -> A_ASSOCIATE_RQ:  # noqa: ANN401 - the library's
        """Return the request that was read over ``connection``, and know its ``association`` from now on."""
        raise NotImplementedError


class _ReadRequestHandler(RequestHandler):
    """Begins one association."""

    def _create_association(self) -> Association:
        association = super()._create_association()
        assert isinstance(self.server, ReadRequestServer)  # noqa: S101 - it alone uses this handler
        request = self.server.take_request(self.request, association)
        association.dul._recv_pdu.put(request)  # noqa: SLF001 - the library's only way
        association.dul.event_queue.put("Evt6")  # an A-ASSOCIATE-RQ has come (PS3.8 9.2.3)
        return association


def server_of(association: Association) -> ReadRequestServer | None:
    """Return the server that has accepted ``association``; None where it is of another kind."""
    server = association._server  # noqa: SLF001 - the library has no other name for it
    return server if isinstance(server, ReadRequestServer) else None


def reject(association: Association, result: int, source: int, reason: int, *, seconds: float) -> None:
    """Reject who asks (PS3.8 9.3.4), and wait no longer than ``seconds`` for the end of the connection."""
    association.dul.artim_timer.timeout = seconds
    association.acse.send_reject(result, source, reason)
    association.kill()
