"""What is owed to one destination, sent over one association; every object's own status settles its row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import structlog
from pydicom.uid import UID, Comprehensive3DSRStorage, ComprehensiveSRStorage
from pynetdicom.association import Association

from scp import retry_policy
from scp.auditing import transfers
from scp.auditing.trail import NO_TRAIL, Trail
from scp.auditing.transfers import Transfers
from scp.configuration.sections import Peer
from scp.configuration.settings import Settings
from scp.delivering import variants
from scp.delivering.forms import FileGoneError, NotSentError, OpenPeer
from scp.network import association as calling
from scp.network import contexts, status
from scp.network.association import Unreachable
from scp.network.web import WebPeerClient
from storage.database.engine import Database
from storage.errors import FilesUnavailable
from storage.files.archive import Archive
from storage.queue import commitments, deliveries
from storage.records import Delivery, ResultObject

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sender:
    """Delivers what is due to one destination at a time; safe to use from one thread per destination."""

    settings: Settings
    database: Database
    archive: Archive
    now: Callable[[], datetime]
    jitter: Callable[[], float]
    trail: Trail = NO_TRAIL
    may_send: Callable[[], bool] = lambda: True
    """Whether it is still for this process to send: another may have taken over."""

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
        open_peer = OpenPeer.of(self.settings, peer, association)
        audited = Transfers(trail=self.trail, peer=peer.ae_title, address=peer.address, incoming=False)
        taken_objects = 0
        try:
            for number, delivery in enumerate(due):
                try:
                    taken_objects += self._send(open_peer, delivery, audited)
                except (Unreachable, FilesUnavailable) as error:
                    log.warning("delivery interrupted", destination=peer.ae_title, reason=str(error))
                    self._again_all(due[number:], str(error))
                    break
        finally:
            if association.is_established:
                association.release()
            audited.close()
        return taken_objects

    def _again_all(self, due: Sequence[Delivery], reason: str) -> None:
        if not self.may_send():
            return  # who may send now has found the same rows due
        for delivery in due:
            self._again(delivery, reason)

    def _associate(self, peer: Peer, due: Sequence[Delivery]) -> Association | WebPeerClient:
        classes = {sop_class for delivery in due for sop_class in _classes(delivery.result)}
        proposed = contexts.proposed(classes, variants.syntaxes(peer))
        if peer.url is not None:
            return WebPeerClient(self.settings, peer, proposed)
        return calling.associate(self.settings, peer, proposed)

    def _send(self, open_peer: OpenPeer, delivery: Delivery, audited: Transfers) -> bool:
        """Send one object and settle its row; tell whether the peer has kept it.

        Raises Unreachable where the association broke, FilesUnavailable where no file can be had now: this
        object and the rest stay owed.
        """
        with self.database.read() as tx:
            if not deliveries.is_owed(tx, delivery.id):
                return False  # a newer result replaced it since the association was opened
        if not self.may_send():
            return False
        peer = open_peer.peer
        try:
            path = self.archive.path(delivery.result.file)
        except FileNotFoundError:
            self._never(delivery, None, "the result's file cannot be read (FileNotFoundError)")
            return False
        sop_class = _class_to_send(delivery.result, peer, open_peer.accepted)
        if sop_class is None:
            self._never(
                delivery, None, f"{peer.ae_title} accepts no {UID(delivery.result.sop_class_uid).name}"
            )
            return False
        try:
            try:
                data_set = open_peer.form(path, sop_class)
            except FileGoneError:  # a copy made room for others just now
                with suppress(FileNotFoundError):
                    path = self.archive.path(delivery.result.file)
                data_set = open_peer.form(path, sop_class)
            with audited.instance(transfers.subject(data_set)) as instance:
                data_set, code = open_peer.store(data_set, path, sop_class)
                instance.is_kept = self._settle(
                    peer, delivery, code, sop_class=sop_class, sent_as=str(data_set.SOPInstanceUID)
                )
        except NotSentError as error:
            self._never(delivery, None, str(error))
            return False
        return instance.is_kept

    def _settle(self, peer: Peer, delivery: Delivery, code: int, *, sop_class: str, sent_as: str) -> bool:
        """Write the peer's own answer for this object into its row (PS3.4 B.2.3)."""
        words = status.in_words(code)
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
