"""The Storage and Verification SCP: binds pynetdicom's events to the door and the receiver, nothing else."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event

from scp.configuration.settings import Settings
from scp.network import contexts, landing, leftovers, status, steady, tls
from scp.network.status import COMMENT_LENGTH, Refusal
from scp.network.tls_renewal import Renewal
from scp.receiving.admission import LIMIT_EXCEEDED, Door, Request
from scp.receiving.connection_gate import Entrance
from scp.receiving.server import Server
from scp.receiving.store import Receiver
from storage.errors import StorageError

__all__ = ["Listener", "Server"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Listener:
    """Turns what happens on the network into calls, and their outcome into statuses."""

    settings: Settings
    receiver: Receiver
    door: Door
    left: Callable[[], object]
    """Called when an association has ended: a study may be complete now."""
    also: tuple[evt.EventHandlerType, ...] = ()
    """What is bound besides: who takes the reports of storage commitment."""

    def start(self) -> Server:
        """Listen without TLS; the address of the returned server tells where.

        Raises OSError where the address cannot be bound.
        """
        return self._listen(self.settings.node.port, None)

    def start_tls(self) -> Server:
        """Listen with TLS. Raises OSError as `start`, and tls.FilesError."""
        return self._listen(self.settings.tls.port, Renewal(self.settings.tls).current)

    def _listen(self, port: int, context: Callable[[], ssl.SSLContext] | None) -> Server:
        node = self.settings.node
        landing.receive_in_chunks(self.receiver.archive.incoming)
        entity = AE(ae_title=node.ae_title)
        entity.supported_contexts = contexts.accepted()
        reports = contexts.commitment()
        entity.add_supported_context(
            str(reports.abstract_syntax), reports.transfer_syntax, scu_role=False, scp_role=True
        )
        entity.maximum_pdu_size = node.max_pdu
        # The door counts; pynetdicom's own limit would let idle sockets, which never ask, shut out everybody.
        entity.maximum_associations = 100_000
        entity.acse_timeout = node.acse_timeout_seconds
        entity.dimse_timeout = node.dimse_timeout_seconds
        entity.network_timeout = node.network_timeout_seconds
        server = entity.make_server(
            (node.host, port),
            evt_handlers=self._handlers(),
            server_class=Server,
            entrance=Entrance(context=context, seconds=node.acse_timeout_seconds),
        )
        assert isinstance(server, Server)  # noqa: S101 - the library's type says more than it does
        threading.Thread(target=server.serve_forever, name=f"listener-{port}", daemon=True).start()
        return server

    def _handlers(self) -> list[evt.EventHandlerType]:
        return [
            (evt.EVT_CONN_OPEN, steady.give_timers),
            (evt.EVT_REQUESTED, self.on_requested),
            (evt.EVT_ESTABLISHED, self.on_established),
            (evt.EVT_CONN_CLOSE, self.on_closed),
            (evt.EVT_C_STORE, self.on_store),
            *self.also,
        ]

    def tend(self) -> None:
        """Clean up after associations that ended without a word. To be called every second or so."""
        for association in self.door.departed():
            if isinstance(association, Association):
                leftovers.remove_unserved(association)
            self.left()

    def on_requested(self, event: Event) -> None:
        """Admit or reject an association (A-ASSOCIATE-RQ, PS3.8 7.1)."""
        try:
            verdict = self.door.admit(event.assoc, request := _secured(event))
        except Exception:
            # pynetdicom would log it and admit the caller
            log.exception("association rejected: the node could not decide about it")
            event.assoc.acse.send_reject(*LIMIT_EXCEEDED)
            event.assoc.kill()
            return
        if verdict.rejection is not None:
            log.warning(
                "association rejected",
                reason=verdict.reason,
                calling_ae=request.calling_ae,
                address=request.address,
                **({"to_admit_it_add": verdict.remedy} if verdict.remedy else {}),
            )
            event.assoc.acse.send_reject(*verdict.rejection)
            event.assoc.kill()

    def on_established(self, event: Event) -> None:
        """Give the peer the patience that large images need."""
        _allow_silence(event.assoc, self.settings.node.network_timeout_seconds)

    def on_closed(self, event: Event) -> None:
        """Forget who was connected, and what it left unfinished."""
        try:
            leftovers.release_unrequested(event.assoc)
            leftovers.remove_unfinished(event.assoc)
        finally:
            if self.door.left(event.assoc):
                self.left()

    def on_store(self, event: Event) -> int | Dataset:
        """Answer one C-STORE request: success means that the instance is on disk and in the book."""
        calling_ae = _request(event).calling_ae
        if (failure := landing.failure(event.request)) is not None:
            log.error(
                "instance not kept, try again later is the answer: the data directory cannot be written",
                reason=failure.strerror,
                peer=calling_ae,
            )
            return _answer(status.OUT_OF_RESOURCES, f"node cannot keep it now ({failure.strerror})")
        try:
            self.receiver.keep(event.dataset_path, calling_ae=calling_ae)
        except Refusal as refusal:
            log.warning(
                "instance refused",
                reason=str(refusal),
                status=f"0x{refusal.status:04X}",
                sop_instance_uid=str(getattr(event.request, "AffectedSOPInstanceUID", "")),
                peer=calling_ae,
            )
            return _answer(refusal.status, str(refusal))
        except (StorageError, OSError) as error:
            log.exception("instance not kept: the peer is asked to try again later", peer=calling_ae)
            return _answer(status.OUT_OF_RESOURCES, f"node cannot keep it now ({type(error).__name__})")
        except Exception:
            log.exception("instance not kept: this is a fault of the node", peer=calling_ae)
            return _answer(status.PROCESSING_FAILURE, "fault of the node, see its log")
        return status.SUCCESS


def _request(event: Event) -> Request:
    requestor = event.assoc.requestor
    primitive = requestor.primitive
    assert primitive is not None  # noqa: S101 - no event of an acceptor comes before its A-ASSOCIATE-RQ
    return Request(
        calling_ae=primitive.calling_ae_title.strip(),
        called_ae=primitive.called_ae_title.strip(),
        address=requestor.address or "",
    )


def _secured(event: Event) -> Request:
    """Return the request together with what TLS says of its sender."""
    connection = _connection(event.assoc)
    if not isinstance(connection, tls.TLSSocket):
        return _request(event)
    return replace(_request(event), tls=True, certificate=connection.certificate)


def _allow_silence(association: Association, seconds: float) -> None:
    """Let the peer fall silent in the middle of a message for so long; then its thread gives up."""
    if (connection := _connection(association)) is not None:
        with contextlib.suppress(OSError):  # closed meanwhile
            connection.settimeout(seconds)


def _connection(association: Association) -> socket.socket | None:
    """Return what ``association`` goes over, None where it is closed already."""
    wrapper = association.dul.socket
    return None if wrapper is None else wrapper.socket


def _answer(code: int, comment: str) -> Dataset:
    answer = Dataset()
    answer.Status = code
    answer.ErrorComment = comment[:COMMENT_LENGTH]
    return answer
