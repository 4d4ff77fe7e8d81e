"""The Storage and Verification SCP: binds pynetdicom's events to admission and receiver, nothing else."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import structlog
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import SOPClassCommonExtendedNegotiation
from pynetdicom.presentation import PresentationContext

from inference.reading import attributes
from scp.auditing.trail import NO_TRAIL, Trail
from scp.configuration.settings import Settings
from scp.network import contexts, status, tls
from scp.network.pynetdicom_fixes import (
    association_requests,
    checkpoint,
    connections,
    pdu_reader,
    received_file,
    timers,
    waiting,
)
from scp.network.pynetdicom_fixes.association_requests import ReadRequestServer
from scp.network.pynetdicom_fixes.pdu_reader import UnitReader
from scp.network.status import COMMENT_LENGTH, Foreign, Refusal
from scp.network.tls_files import Renewal
from scp.receiving.admission import LIMIT_EXCEEDED, Admission, Rejection, Request
from scp.receiving.callers import places
from scp.receiving.calls import CallCounts
from scp.receiving.connection_gate import ConnectionGate
from scp.receiving.receptions import Receptions
from scp.receiving.refusals import Refusals, tell_refused_classes
from scp.receiving.server import HandOver, Server, forget_caller, keep_here
from scp.receiving.store import Receiver
from storage.errors import StorageError
from storage.refused import Refused

log = structlog.get_logger(__name__)

NO_LIMIT: Final = 100_000
"""Associations: more than `Admission` ever lets in. pynetdicom's own limit counts idle sockets too, which
never ask, and would let them shut out everybody."""
REJECTED_SECONDS: Final = 2.0
"""ARTIM (PS3.8 9.1.5) after a rejection: two threads wait for it, and strangers may come often."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listener:
    """Turns what happens on the network into calls, and their outcome into statuses."""

    settings: Settings
    receiver: Receiver
    admission: Admission
    association_ended: Callable[[], object]
    """Called when an association has ended: a study may be complete now."""
    refusals: Refusals
    calls: CallCounts
    trail: Trail = NO_TRAIL
    receptions: Receptions = field(default_factory=Receptions)
    more_handlers: tuple[evt.EventHandlerType, ...] = ()
    """What is bound besides: who takes the reports of storage commitment."""
    hand_over: HandOver = keep_here
    """Gives some of the callers to other processes that receive."""

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
        gate = ConnectionGate(
            places(node.max_associations),
            context=context,
            seconds=node.acse_timeout_seconds,
            refused=self._refuse_connection,
        )
        server = self._make_server((node.host, port), Server, gate=gate, hand_over=self.hand_over)
        assert isinstance(server, Server)  # noqa: S101 - the library's type says more than it does
        threading.Thread(target=server.serve_forever, name=f"listener-{port}", daemon=True).start()
        return server

    def _make_server(
        self,
        address: tuple[str, int],
        kind: type[ReadRequestServer],
        **more: Any,  # noqa: ANN401 - what that kind of server takes
    ) -> ReadRequestServer:
        """Return a server whose associations call this listener."""
        node = self.settings.node
        received_file.receive_in_chunks(self.receiver.archive.incoming)
        attributes.read_unchecked()
        connections.poll_connections()
        entity = AE(ae_title=node.ae_title)
        entity.supported_contexts = (
            contexts.verification()
        )  # each association gets its own when it is admitted
        entity.maximum_pdu_size = node.max_pdu
        entity.maximum_associations = NO_LIMIT
        entity.acse_timeout = node.acse_timeout_seconds
        entity.dimse_timeout = node.dimse_timeout_seconds
        entity.network_timeout = node.network_timeout_seconds
        server = entity.make_server(address, evt_handlers=self._handlers(), server_class=kind, **more)
        assert isinstance(server, ReadRequestServer)  # noqa: S101 - as above
        return server

    def _handlers(self) -> list[evt.EventHandlerType]:
        return [
            (evt.EVT_CONN_OPEN, self.on_open),
            (evt.EVT_REQUESTED, self.on_requested),
            (evt.EVT_SOP_COMMON, on_services),
            (evt.EVT_ESTABLISHED, self.on_established),
            (evt.EVT_CONN_CLOSE, self.on_closed),
            (evt.EVT_C_STORE, self.on_store),
            *self.more_handlers,
        ]

    def clean_up(self) -> None:
        """Clean up after associations that died without an event. To be called every second or so."""
        ended = self.admission.forget_dead()
        received_file.remove_left()
        if ended:
            self.association_ended()
        self.refusals.tell()
        self.receptions.tell()
        self.calls.write_down()

    def _refuse_connection(self, address: str, reason: Refused, words: str) -> None:
        """Count a connection that came to no association; one whose TLS failed concerns the audit trail."""
        self.refusals.count_call(reason)
        if reason is Refused.TLS:
            self.trail.refused("", address, words)

    def on_open(self, event: Event) -> None:
        """Prepare an association before its first message."""
        node = self.settings.node
        timers.use_monotonic_timers(event)
        checkpoint.install_checkpoint(event)
        connections.send_at_once(event.assoc)
        waiting.wait_instead_of_looking(event)
        UnitReader(event.assoc, longest_data=2 * node.max_pdu, seconds=node.network_timeout_seconds).install()

    def on_requested(self, event: Event) -> None:
        """Admit or reject an association (A-ASSOCIATE-RQ, PS3.8 7.1)."""
        try:
            decision = self.admission.admit(event.assoc, request := _full_request(event))
        except Exception:
            # pynetdicom would log it and admit the caller
            log.exception("association rejected: the node could not decide about it")
            self.refusals.count_call(Refused.UNDECIDED)
            _reject(event.assoc, LIMIT_EXCEEDED)
            return
        self.calls.count(request, decision)
        if decision.refused is not None and decision.rejection is not None:
            self.refusals.count_call(decision.refused, request.calling_ae)
            log.warning(
                "association rejected",
                reason=decision.reason,
                calling_ae=request.calling_ae,
                address=request.address,
                **({"to_admit_it_add": decision.remedy} if decision.remedy else {}),
            )
            if decision.rejection != LIMIT_EXCEEDED:
                self.trail.refused(request.calling_ae, request.address, decision.reason)
            _reject(event.assoc, decision.rejection)
            return
        event.assoc.acceptor.supported_contexts = (
            contexts.verification() if decision.only_verification else contexts.accepted(requested(event))
        )

    def on_established(self, event: Event) -> None:
        """Give the peer the patience that large images need: so far it had the shorter one of the gate."""
        connections.limit_silence(event.assoc, self.settings.node.network_timeout_seconds)
        forget_caller(event.assoc)
        tell_refused_classes(event.assoc, peer=_request(event).calling_ae)

    def on_closed(self, event: Event) -> None:
        """Forget who was connected, and what it left unfinished."""
        try:
            if received_file.remove_unfinished(event.assoc) and not pdu_reader.reported(event.assoc):
                log.warning(
                    "association ended in the middle of a data set, its bytes were removed",
                    address=event.assoc.requestor.address,
                )
        finally:
            forget_caller(event.assoc)
            if self.admission.forget(event.assoc):
                self.look_for_complete_studies()

    def look_for_complete_studies(self) -> None:
        """Let the studies of who has ended become complete; where that fails, what was kept stays kept."""
        try:
            self.association_ended()
        except StorageError as error:  # a tick looks every second
            log.warning("complete studies are looked for later", reason=str(error))

    def on_store(self, event: Event) -> int | Dataset:
        """Answer one C-STORE request: success means that the instance is on disk and in the database."""
        request = _request(event)
        calling_ae = request.calling_ae
        if (unusable := _unusable(event, calling_ae)) is not None:
            reason, answer = unusable
            self._count(event, calling_ae, reason)
            return answer
        try:
            self.receptions.keep(
                event.assoc,
                event.dataset_path,
                peer=calling_ae,
                address=request.address,
                keep=lambda: self.receiver.keep(
                    event.dataset_path,
                    calling_ae=calling_ae,
                    pixels=received_file.pixel_digest(event.request),
                ),
            )
        except Foreign as refusal:
            return self._answer_foreign(event, calling_ae, str(refusal))
        except Refusal as refusal:
            self._count(event, calling_ae, refusal.reason)
            log.warning(
                "instance refused",
                reason=str(refusal),
                status=f"0x{refusal.status:04X}",
                sop_instance_uid=str(getattr(event.request, "AffectedSOPInstanceUID", "")),
                peer=calling_ae,
            )
            return _answer(refusal.status, str(refusal))
        except (StorageError, OSError) as error:
            self._count(event, calling_ae, Refused.NO_ROOM)
            log.exception("instance not kept: the peer is asked to try again later", peer=calling_ae)
            return _answer(status.OUT_OF_RESOURCES, f"node cannot keep it now ({type(error).__name__})")
        except Exception:
            self._count(event, calling_ae, Refused.FAULT)
            log.exception("instance not kept: this is a fault of the node", peer=calling_ae)
            return _answer(status.PROCESSING_FAILURE, "fault of the node, see its log")
        return status.SUCCESS

    def _answer_foreign(self, event: Event, calling_ae: str, words: str) -> int | Dataset:
        """Answer for what is not for this node; a failure would let the sender stop before the mammograms."""
        drop = self.settings.node.foreign == "drop"
        self._count(event, calling_ae, Refused.DROPPED if drop else Refused.FOREIGN)
        return status.SUCCESS if drop else _answer(Foreign.status, words)

    def _count(self, event: Event, calling_ae: str, reason: Refused) -> None:
        sop_class = str(getattr(event.request, "AffectedSOPClassUID", "") or "")
        self.refusals.count(event.assoc, peer=calling_ae, sop_class_uid=sop_class, reason=reason)


def on_services(event: Event) -> dict[UID, SOPClassCommonExtendedNegotiation]:
    """Say which classes are stored that pynetdicom does not know."""
    return contexts.storage_roles(requested(event))


def requested(event: Event) -> Sequence[PresentationContext]:
    """Return the presentation contexts that the peer proposes."""
    primitive = event.assoc.requestor.primitive
    return [] if primitive is None else primitive.presentation_context_definition_list


def _unusable(event: Event, calling_ae: str) -> tuple[Refused, Dataset] | None:
    """Return reason and answer where a C-STORE names no instance, or its data set is not on the disk."""
    if not getattr(event.request, "AffectedSOPInstanceUID", ""):
        log.warning("instance refused: the C-STORE names no SOP Instance UID", peer=calling_ae)
        words = "Affected SOP Instance UID (0000,1000) is empty"
        return Refused.UNNAMED, _answer(status.INVALID_SOP_INSTANCE, words)
    if (failure := received_file.failure(event.request)) is not None:
        log.error(
            "instance not kept, try again later is the answer: the data directory cannot be written",
            reason=failure.strerror,
            peer=calling_ae,
        )
        words = f"node cannot keep it now ({failure.strerror})"
        return Refused.NO_ROOM, _answer(status.OUT_OF_RESOURCES, words)
    return None


def _reject(association: Association, rejection: Rejection) -> None:
    """Reject whoever asks, and wait for the end of the connection no longer than it takes to read that."""
    association_requests.reject(association, *rejection, seconds=REJECTED_SECONDS)


def _request(event: Event) -> Request:
    requestor = event.assoc.requestor
    primitive = requestor.primitive
    assert primitive is not None  # noqa: S101 - no event of an acceptor comes before its A-ASSOCIATE-RQ
    return Request(
        calling_ae=primitive.calling_ae_title.strip(),
        called_ae=primitive.called_ae_title.strip(),
        address=requestor.address or "",
    )


def _full_request(event: Event) -> Request:
    """Return the request together with what TLS says of its sender."""
    connection = connections.connection_of(event.assoc)
    if not isinstance(connection, tls.TLSSocket):
        return _request(event)
    return replace(_request(event), tls=True, certificate=connection.certificate, subject=connection.subject)


def _answer(code: int, comment: str) -> Dataset:
    answer = Dataset()
    answer.Status = code
    answer.ErrorComment = comment[:COMMENT_LENGTH]
    return answer
