"""Asks a destination to commit itself to keep what it took: the Storage Commitment SCU (PS3.4 annex J).

Every request goes out under a Transaction UID of its own, over an association of its own after the stores.
The report comes over the same association while that is open, else over one that the peer opens to us.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.pdu import P_DATA_TF

from scp import retry_policy
from scp.configuration.sections import Peer
from scp.configuration.settings import Settings
from scp.delivering.commitment_report import Reports
from scp.network import association as calling
from scp.network import contexts, status
from scp.network.association import Unreachable
from storage.database.engine import Database
from storage.queue import commitments
from storage.transitions.commitments import Commitment

log = structlog.get_logger(__name__)

REQUEST_COMMITMENT: Final = 1
"""Action Type ID (PS3.4 J.3.2.1.1)."""

OBJECTS_AT_A_TIME: Final = 100
"""So many are asked about in one request: its report stays a message that every peer can build."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CommitmentRequester:
    """Asks one destination at a time; safe to use from one thread per destination."""

    settings: Settings
    database: Database
    reports: Reports
    now: Callable[[], datetime]
    jitter: Callable[[], float]
    new_uid: Callable[[], str]
    """Gives Transaction UIDs, never one twice."""
    may_send: Callable[[], bool] = lambda: True
    """Tells whether it is still for this process to speak to peers; what it may not ask stays due."""

    def ask(self, destination: str) -> None:
        """Ask ``destination`` about everything that is due."""
        with self.database.read() as tx:
            due = commitments.due(tx, now=self.now(), destination=destination)
        if not due:
            return
        peer = self.settings.peer(destination)
        if peer is None or not peer.reachable:
            self._never(due, f"{destination!r} has no host and port in the configuration's [[peers]]")
            return
        try:
            self._ask_all(peer, due)
        except Unreachable as error:
            log.warning("storage commitment cannot be asked for", destination=destination, reason=str(error))
            self._again(due, str(error))

    def postpone(self, destination: str) -> None:
        """Put off all that is due to be asked of ``destination`` after a fault of ours."""
        with self.database.read() as tx:
            due = commitments.due(tx, now=self.now(), destination=destination)
        self._again(due, "a fault of the node, see its log")

    def _ask_all(self, peer: Peer, due: Sequence[Commitment]) -> None:
        report_handler = _ReportHandler(self.reports)
        association = calling.associate(
            self.settings, peer, [contexts.commitment()], handlers=report_handler.handlers
        )
        if not association.is_established:
            self._never(
                due,
                f"{peer.ae_title} does not accept Storage Commitment: allow it there for this node, "
                "or set commitment = false for this peer",
            )
            return
        try:
            accepted = 0
            for start in range(0, len(due), OBJECTS_AT_A_TIME):
                if not self.may_send():
                    break
                accepted += self._request(association, peer, due[start : start + OBJECTS_AT_A_TIME])
            report_handler.wait(accepted, self.settings.delivery.commitment_linger_seconds)
        finally:
            if association.is_established:
                association.release()

    def _request(self, association: Association, peer: Peer, batch: Sequence[Commitment]) -> bool:
        """Ask about ``batch``; tell whether the peer will report.

        Raises Unreachable where the association broke: what was not accepted is asked about again.
        """
        transaction_uid = self.new_uid()
        ids = [commitment.delivery_id for commitment in batch]
        with self.database.write() as tx:
            commitments.open_request(tx, transaction_uid, peer.ae_title, ids, now=self.now())
        if not association.is_established:
            raise Unreachable("the association broke")
        answer, _ = association.send_n_action(
            _information(transaction_uid, batch),
            REQUEST_COMMITMENT,
            contexts.COMMITMENT,
            contexts.COMMITMENT_INSTANCE,
        )
        if "Status" not in answer:
            raise Unreachable(
                "the association broke, or no answer came in time, in the middle of an N-ACTION"
            )
        return self._settle(peer, batch, int(answer.Status), transaction_uid)

    def _settle(self, peer: Peer, batch: Sequence[Commitment], code: int, transaction_uid: str) -> bool:
        words = f"0x{code:04X}"
        if status.delivered(code):
            with self.database.write() as tx:
                now = self.now()
                until = now + timedelta(seconds=self.settings.delivery.commitment_timeout_seconds)
                commitments.accepted(
                    tx, [commitment.delivery_id for commitment in batch], answer_until=until, now=now
                )
            log.info(
                "storage commitment asked for",
                destination=peer.ae_title,
                transaction_uid=transaction_uid,
                objects=len(batch),
            )
            return True
        log.warning("storage commitment request refused", destination=peer.ae_title, status=words)
        may_mend = status.worth_another_try(code)
        tries = retry_policy.COMMITMENT_REQUEST_TRIES
        final = [commitment for commitment in batch if not may_mend and commitment.attempts + 1 >= tries]
        self._never(final, f"{peer.ae_title} refused the storage commitment request with status {words}")
        self._again(
            [commitment for commitment in batch if commitment not in final],
            f"{peer.ae_title} answered the storage commitment request with status {words}",
        )
        return False

    def _again(self, due: Sequence[Commitment], reason: str) -> None:
        backoff = retry_policy.of_peer(self.settings.delivery)
        with self.database.write() as tx:
            for commitment in due:
                wait = backoff.wait(commitment.attempts + 1, jitter=self.jitter())
                commitments.again(tx, [commitment.delivery_id], not_before=self.now() + wait, reason=reason)

    def _never(self, due: Sequence[Commitment], reason: str) -> None:
        if not due:
            return
        log.error("commitments parked", objects=len(due), reason=reason)
        with self.database.write() as tx:
            commitments.never(tx, [commitment.delivery_id for commitment in due], reason=reason)


def _information(transaction_uid: str, batch: Sequence[Commitment]) -> Dataset:
    """Return the Action Information of a request (PS3.4 table J.3-1)."""
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.ReferencedSOPSequence = [_item(commitment) for commitment in batch]
    return information


def _item(commitment: Commitment) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = commitment.sop_class_uid
    item.ReferencedSOPInstanceUID = commitment.sop_instance_uid
    return item


class _ReportHandler:
    """Handles the reports that come over the association of their requests.

    A report counts when its answer has gone out, so that the association is not released before.
    """

    def __init__(self, reports: Reports) -> None:
        self._reports = reports
        self._changed = threading.Condition()
        self._received = 0
        self._answered = 0
        self._ended = False
        self.handlers: tuple[evt.EventHandlerType, ...] = (
            (evt.EVT_N_EVENT_REPORT, self._on_report),
            (evt.EVT_PDU_SENT, self._on_sent),
            (evt.EVT_CONN_CLOSE, self._on_closed),
        )

    def wait(self, reports: int, seconds: float) -> None:
        """Wait until so many ``reports`` have come and are answered, at most ``seconds``."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._answered >= reports, timeout=seconds)

    def _on_report(self, event: Event) -> tuple[int, None]:
        answer = self._reports.on_report(event)
        with self._changed:
            self._received += 1
        return answer

    def _on_sent(self, event: Event) -> None:
        if isinstance(event.pdu, P_DATA_TF):
            with self._changed:
                self._answered = self._received
                self._changed.notify_all()

    def _on_closed(self, _event: Event) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
