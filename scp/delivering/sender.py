"""What is owed to one destination, sent over one association; every object's own status settles its row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import pydicom
import structlog
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, Comprehensive3DSRStorage, ComprehensiveSRStorage
from pynetdicom.association import Association

from scp import retry_policy
from scp.auditing import transfers
from scp.auditing.trail import NO_TRAIL, Trail
from scp.auditing.transfers import Transfers
from scp.configuration.sections import Peer
from scp.configuration.settings import Settings
from scp.delivering import variants
from scp.network import association as calling
from scp.network import contexts, patience, status
from scp.network.association import Unreachable
from scp.network.web import WebPeerClient
from storage.archive import Archive
from storage.database.engine import Database
from storage.queue import commitments, deliveries
from storage.records import Delivery, ResultObject

log = structlog.get_logger(__name__)

_NAMED: Final = 3
"""So many faults of one object fit into a line of ``status``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sender:
    """Delivers what is due to one destination at a time; safe to use from one thread per destination."""

    settings: Settings
    database: Database
    archive: Archive
    now: Callable[[], datetime]
    jitter: Callable[[], float]
    trail: Trail = NO_TRAIL

    def deliver(self, destination: str) -> int:
        """Send all that is due to ``destination``; return how many objects it has kept."""
        with self.database.read() as tx:
            due = deliveries.due(tx, now=self.now(), destination=destination).get(destination, [])
        if not due:
            return 0
        peer = self.settings.peer(destination)
        if peer is None or not peer.reachable:
            for delivery in due:
                self._never(
                    delivery,
                    None,
                    f"{destination!r} has neither host and port nor url in the configuration's [[peers]]",
                )
            return 0
        try:
            return self._send_all(peer, due)
        except Unreachable as error:
            log.warning("destination unreachable", destination=destination, reason=str(error), owed=len(due))
            self._again_all(due, str(error))
            return 0

    def postpone(self, destination: str) -> None:
        """Put off all that is due to ``destination`` after a fault of ours: it is not tried in a loop."""
        with self.database.read() as tx:
            due = deliveries.due(tx, now=self.now(), destination=destination).get(destination, [])
        self._again_all(due, "a fault of the node, see its log")

    def _send_all(self, peer: Peer, due: Sequence[Delivery]) -> int:
        association = self._associate(peer, due)
        audited = Transfers(trail=self.trail, peer=peer.ae_title, address=peer.address, incoming=False)
        taken_objects = 0
        try:
            for number, delivery in enumerate(due):
                try:
                    taken_objects += self._send(association, peer, delivery, audited)
                except Unreachable as error:
                    log.warning("delivery interrupted", destination=peer.ae_title, reason=str(error))
                    self._again_all(due[number:], str(error))
                    break
        finally:
            if association.is_established:
                association.release()
            audited.close()
        return taken_objects

    def _again_all(self, due: Sequence[Delivery], reason: str) -> None:
        for delivery in due:
            self._again(delivery, reason)

    def _associate(self, peer: Peer, due: Sequence[Delivery]) -> Association | WebPeerClient:
        classes = {sop_class for delivery in due for sop_class in _classes(delivery.result)}
        proposed = contexts.proposed(classes, variants.syntaxes(peer))
        if peer.url is not None:
            return WebPeerClient(self.settings, peer, proposed)
        return calling.associate(self.settings, peer, proposed)

    def _send(
        self,
        association: Association | WebPeerClient,
        peer: Peer,
        delivery: Delivery,
        audited: Transfers,
    ) -> bool:
        """Send one object and settle its row; tell whether the peer has kept it.

        Raises Unreachable where the association broke: this object and the rest stay owed.
        """
        with self.database.read() as tx:
            if not deliveries.is_owed(tx, delivery.id):
                return False  # a newer result replaced it since the association was opened
        accepted: dict[str, set[str]] = {}
        for context in association.accepted_contexts:
            accepted.setdefault(str(context.abstract_syntax), set()).add(str(context.transfer_syntax[0]))
        sop_class = _class_to_send(delivery.result, peer, accepted)
        if sop_class is None:
            self._never(
                delivery, None, f"{peer.ae_title} accepts no {UID(delivery.result.sop_class_uid).name}"
            )
            return False
        try:
            path = self.archive.path(delivery.result.file)
            size = path.stat().st_size
            data_set: Dataset = pydicom.dcmread(path)
        except (OSError, InvalidDicomError) as error:
            self._never(delivery, None, f"the result's file cannot be read ({type(error).__name__})")
            return False
        data_set = variants.of_result(data_set, peer, sop_class, accepted[sop_class])
        if self.settings.delivery.check_objects and (faults := _faults(data_set)):
            self._never(delivery, None, _not_sent(faults))
            return False
        # the library counts from when the object is queued, not from when its last byte has left; a peer that
        # takes nothing more is given up earlier (`connections.limit_silence`)
        association.dimse_timeout = patience.seconds(self.settings.delivery.answer_timeout_seconds, size)
        with audited.instance(transfers.subject(data_set)) as instance:
            try:
                answer = association.send_c_store(data_set)
            except ValueError:
                self._never(
                    delivery, None, f"{peer.ae_title} accepts it in no transfer syntax that it can be sent in"
                )
                return False
            except RuntimeError as error:  # not established, which it may have been a moment ago
                raise Unreachable("the association broke") from error
            if "Status" not in answer:
                raise Unreachable(
                    "the association broke, or no answer came in time, in the middle of a C-STORE"
                )
            instance.is_kept = self._settle(
                peer, delivery, answer, sop_class=sop_class, sent_as=str(data_set.SOPInstanceUID)
            )
        return instance.is_kept

    def _settle(
        self, peer: Peer, delivery: Delivery, answer: Dataset, *, sop_class: str, sent_as: str
    ) -> bool:
        """Write the peer's own answer for this object into its row (PS3.4 B.2.3)."""
        code = int(answer.Status)
        words = status.in_words(code)
        if comment := str(answer.get("ErrorComment") or ""):
            log.info(
                "peer comments", destination=delivery.destination, comment_length=len(comment), status=words
            )
        if status.delivered(code):
            renamed = None if sent_as == delivery.result.sop_instance_uid else sent_as
            with self.database.write() as tx:
                now = self.now()
                deliveries.sent(tx, delivery.id, status=code, sent_as=renamed, now=now)
                if peer.commitment:
                    commitments.want(tx, delivery, sop_class_uid=sop_class, sop_instance_uid=sent_as, now=now)
            log.info(
                "result delivered", destination=delivery.destination, sop_instance_uid=sent_as, status=words
            )
            return True
        tries_left = delivery.attempts + 1 < retry_policy.OBJECT_TRIES
        if status.worth_another_try(code) or (tries_left and not status.final(code)):
            self._again(delivery, f"{delivery.destination} answered status {words}", code)
        else:
            self._never(delivery, code, f"{delivery.destination} refused it with status {words}")
        return False

    def _again(self, delivery: Delivery, reason: str, code: int | None = None) -> None:
        backoff = retry_policy.of_peer(self.settings.delivery)
        wait = backoff.wait(delivery.attempts + 1, jitter=self.jitter())
        with self.database.write() as tx:
            now = self.now()
            deliveries.again(tx, delivery.id, not_before=now + wait, status=code, reason=reason, now=now)

    def _never(self, delivery: Delivery, code: int | None, reason: str) -> None:
        log.error(
            "delivery parked",
            destination=delivery.destination,
            sop_instance_uid=delivery.result.sop_instance_uid,
            reason=reason,
        )
        with self.database.write() as tx:
            deliveries.never(tx, delivery.id, status=code, reason=reason, now=self.now())


def _faults(data_set: Dataset) -> list[str]:
    """Return what is wrong with an object before it is sent."""
    # The tables come with highdicom: 0.3 s and 19 MB, which a start of the node does without.
    from inference.results import validation  # noqa: PLC0415

    return validation.faults(data_set)


def _not_sent(faults: Sequence[str]) -> str:
    """Return why an object with faults stays here, and what can be done."""
    named = "; ".join(faults[:_NAMED]) + (
        f"; and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
    )
    return (
        f"not sent, since it breaks the standard: {named}. This is a fault of the node: report it. "
        "[delivery] check_objects = false and retry send it all the same"
    )


def _classes(result: ResultObject) -> list[str]:
    """Return the SOP classes in which ``result`` may be sent, its own first."""
    return [result.sop_class_uid, *filter(None, [result.alternative_class_uid])]


def _class_to_send(result: ResultObject, peer: Peer, accepted: Collection[str]) -> str | None:
    """Return the SOP class to send ``result`` in, or None where the peer takes none.

    A report goes in the class that the peer is configured for, else in the other one if only that is
    accepted.
    """
    preferred = {
        "comprehensive": ComprehensiveSRStorage,
        "comprehensive3d": Comprehensive3DSRStorage,
        None: result.sop_class_uid,
    }[peer.sr_class]
    possible = [sop_class for sop_class in _classes(result) if sop_class in accepted]
    return preferred if preferred in possible else next(iter(possible), None)
