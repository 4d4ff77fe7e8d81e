"""Answers peers that ask this node to commit itself to keep images: Storage Commitment SCP (PS3.4 annex J).

A modality asks before it deletes. The question is written down, then accepted; what is kept whole when the
report goes out is promised, and nothing else. The report goes over a new association to a peer whose host
and port are known, else over the one that the question came by.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.pdu import P_DATA_TF

from inference.reading import objections
from scp import retry_policy
from scp.configuration.sections import Peer
from scp.configuration.settings import Settings
from scp.delivering.commitment_report import ALL_COMMITTED, SOME_FAILED, Malformed
from scp.delivering.commitment_request import REQUEST_COMMITMENT
from scp.network import association as calling
from scp.network import contexts, status
from scp.network.association import Unreachable
from storage.database.engine import Database
from storage.errors import StorageError
from storage.files.archive import Archive
from storage.queue import commitment_questions
from storage.queue.commitment_questions import Question
from storage.records import Instance

log = structlog.get_logger(__name__)

LINGER_SECONDS: Final = 1.0
"""So long after the answer an association must still be open to get the report: whoever releases at once does
not wait for it, and would have to wait for its release."""
GIVE_UP: Final = timedelta(hours=24)
"""A peer that cannot be told for so long asks again by itself: it still has its images."""
MOST_OPEN: Final = 1_000
"""Questions of a peer that wait for their answer: more than one has in a day that asks study by study."""
MOST_ITEMS: Final = 10_000
"""Instances in one question: more than any study has, and little enough for a row."""


def read(action_type: int | None, information: Dataset, peer: str, now: datetime) -> Question:
    """Return the question that a request asks. Raises Malformed."""
    if action_type != REQUEST_COMMITMENT:
        raise Malformed(status.NO_SUCH_ACTION, f"action type {action_type} is unknown")
    try:
        transaction_uid = UID(information.TransactionUID)
        items = [
            (UID(item.ReferencedSOPClassUID), UID(item.ReferencedSOPInstanceUID))
            for item in information.ReferencedSOPSequence
        ]
    except AttributeError as error:
        raise Malformed(
            status.NO_SUCH_ARGUMENT, "Transaction UID, or an item or its UIDs, is missing"
        ) from error
    except (ValueError, TypeError, NotImplementedError) as error:
        raise Malformed(status.INVALID_ARGUMENT, "its data set cannot be read") from error
    uids = [transaction_uid, *(uid for item in items for uid in item)]
    if not items or len(items) > MOST_ITEMS or not all(uid.is_valid for uid in uids):
        raise Malformed(status.INVALID_ARGUMENT, f"it names no UIDs, or more than {MOST_ITEMS} instances")
    return Question(
        peer=peer,
        transaction_uid=str(transaction_uid),
        sop_class_uids=tuple(str(sop_class) for sop_class, _ in items),
        sop_instance_uids=tuple(str(instance) for _, instance in items),
        asked_at=now,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class CommitmentAnswers:
    """Takes questions from any association; tells one peer at a time. Safe for use from many threads."""

    settings: Settings
    database: Database
    archive: Archive
    now: Callable[[], datetime]
    jitter: Callable[[], float]
    accepted: dict[Association, list[Question]] = field(default_factory=dict)
    """Questions whose acceptance has not gone out yet, to be answered over their own association."""
    telling: dict[Association, list[Question]] = field(default_factory=dict)
    """Questions whose acceptance has gone out, for the one thread that tells the peer of each association."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Guards `telling`."""

    @property
    def handlers(self) -> tuple[evt.EventHandlerType, ...]:
        """What to bind to the associations that peers open."""
        return (
            (evt.EVT_N_ACTION, self.on_action),
            (evt.EVT_PDU_SENT, self.on_sent),
            (evt.EVT_CONN_CLOSE, self.on_closed),
        )

    def on_action(self, event: Event) -> tuple[int, None]:
        """Answer one N-ACTION request: success means that the question is in the database."""
        request = event.assoc.requestor.primitive
        assert request is not None  # noqa: S101 - no event of an acceptor comes before its A-ASSOCIATE-RQ
        peer = request.calling_ae_title.strip()
        try:
            question = read(event.action_type, event.action_information, peer, self.now())
            configured = self.settings.peer(peer)
            over_new_association = configured is not None and configured.host is not None
            wait = timedelta(0) if over_new_association else GIVE_UP
            with self.database.write() as tx:
                _check_open(commitment_questions.open_of(tx, peer))
                commitment_questions.ask(tx, question, not_before=self.now() + wait)
        except Malformed as malformed:
            log.warning("request for storage commitment refused", reason=str(malformed), peer=peer)
            return malformed.status, None
        except StorageError as error:
            log.warning("request for storage commitment not kept", reason=str(error), peer=peer)
            return status.PROCESSING_FAILURE, None
        except Exception:
            log.exception("request for storage commitment not kept: this is a fault of the node", peer=peer)
            return status.PROCESSING_FAILURE, None
        if not over_new_association:
            self.accepted.setdefault(event.assoc, []).append(question)
        return status.SUCCESS, None

    def on_sent(self, event: Event) -> None:
        """Begin to report over the association whose question was accepted just now."""
        if not isinstance(event.pdu, P_DATA_TF) or not (questions := self.accepted.pop(event.assoc, None)):
            return
        with self.lock:
            is_told = event.assoc in self.telling
            self.telling.setdefault(event.assoc, []).extend(questions)
        if not is_told:
            threading.Thread(target=self._tell_here, args=(event.assoc,), daemon=True).start()

    def on_closed(self, event: Event) -> None:
        """Forget an association that ended before its question was accepted."""
        self.accepted.pop(event.assoc, None)

    def tell(self, peer_title: str) -> None:
        """Tell the peer what of that is kept about which it has asked."""
        with self.database.read() as tx:
            due = commitment_questions.due(tx, peer=peer_title, now=self.now())
        stale = [question for question in due if self.now() - question.asked_at >= GIVE_UP]
        self._give_up(stale)
        due = [question for question in due if question not in stale]
        peer = self.settings.peer(peer_title)
        if not due or peer is None or peer.host is None:
            return
        try:
            self._tell_over_new(peer, due)
        except Unreachable as error:
            log.warning("peer cannot be told what is kept, trying again", peer=peer_title, reason=str(error))
            self.postpone(peer_title)

    def postpone(self, peer_title: str) -> None:
        """Put off all that the peer should be told now."""
        backoff = retry_policy.of_peer(self.settings.delivery)
        with self.database.write() as tx:
            for question in commitment_questions.due(tx, peer=peer_title, now=self.now()):
                wait = backoff.wait(question.attempts + 1, jitter=self.jitter())
                commitment_questions.again(tx, question, not_before=self.now() + wait)

    def _tell_over_new(self, peer: Peer, due: Sequence[Question]) -> None:
        association = calling.associate(
            self.settings, peer, [contexts.commitment()], as_scp=[contexts.COMMITMENT]
        )
        if not association.is_established:
            raise Unreachable("it does not accept Storage Commitment from this node: allow it there")
        try:
            for question in due:
                self._report(association, question)
        finally:
            if association.is_established:
                association.release()

    def _tell_here(self, association: Association) -> None:
        """Report over ``association`` what was asked over it, if it stays open: one after the other."""
        time.sleep(LINGER_SECONDS)
        while True:
            with self.lock:
                if not (waiting := self.telling[association]):
                    del self.telling[association]
                    return
                question = waiting.pop(0)
            self._answer_here(association, question)

    def _answer_here(self, association: Association, question: Question) -> None:
        try:
            self._report_or_close(association, question)
        except Exception:
            log.exception("peer not told what is kept: this is a fault of the node", peer=question.peer)

    def _report_or_close(self, association: Association, question: Question) -> None:
        try:
            self._report(association, question)
        except Unreachable:
            log.warning(
                "peer not told what is kept: it left before, and has no host and port in [[peers]], "
                "to which it could be told later",
                peer=question.peer,
                transaction_uid=question.transaction_uid,
            )
            with self.database.write() as tx:
                commitment_questions.close(tx, [question])

    def _report(self, association: Association, question: Question) -> None:
        """Promise what is kept, report, and close the question. Raises Unreachable where nobody answers."""
        if not association.is_established:
            raise Unreachable("the association broke")
        failures = self._promise(question)
        information = _event_information(question, failures)
        try:
            answer, _ = association.send_n_event_report(
                information,
                SOME_FAILED if any(failures.values()) else ALL_COMMITTED,
                contexts.COMMITMENT,
                contexts.COMMITMENT_INSTANCE,
            )
        except (RuntimeError, ValueError) as error:  # not established, or no context, any more
            raise Unreachable("the association broke") from error
        if "Status" not in answer:
            raise Unreachable("it did not answer the report on storage commitment in time")
        if not status.delivered(int(answer.Status)):
            raise Unreachable(f"it answered the report with status {status.in_words(int(answer.Status))}")
        with self.database.write() as tx:
            commitment_questions.close(tx, [question])
        failed = sum(reason is not None for reason in failures.values())
        log.info(
            "peer told what is kept",
            peer=question.peer,
            transaction_uid=question.transaction_uid,
            committed=len(failures) - failed,
            failed=failed,
        )

    def _promise(self, question: Question) -> dict[str, int | None]:
        """Return for each instance why it is not committed; None where it is: from now on it is promised."""
        with self.database.read() as tx:
            files = {instance.file for instance in commitment_questions.instances(tx, question).values()}
        # asked before the lock of who writes: a bucket takes a request for each; files go after their rows
        held = {file: self.archive.holds(file) for file in files}
        with self.database.write() as tx:
            instances = commitment_questions.instances(tx, question)
            pairs = zip(question.sop_instance_uids, question.sop_class_uids, strict=True)
            failures = {uid: self._failure(instances.get(uid), sop_class, held) for uid, sop_class in pairs}
            promised = [instances[uid] for uid, reason in failures.items() if reason is None]
            commitment_questions.promise(tx, promised, peer=question.peer, now=self.now())
        return failures

    def _failure(self, instance: Instance | None, sop_class: str, held: Mapping[str, bool]) -> int | None:
        """Return the Failure Reason (PS3.3 C.14.1.1), None for an instance that is kept whole.

        Of tomosynthesis the header alone is kept, as of images whose time is over; of other classes nothing.
        """
        if sop_class not in contexts.IMAGES or sop_class in objections.TOMOSYNTHESIS:
            return status.SOP_CLASS_NOT_SUPPORTED
        if instance is None or instance.pixels_removed_at is not None:
            return status.NO_SUCH_INSTANCE
        is_held = held.get(instance.file)
        if is_held is None:  # it came, or was replaced, just now
            is_held = self.archive.holds(instance.file)
        if not is_held:
            return status.NO_SUCH_INSTANCE
        return None if instance.sop_class_uid == sop_class else status.CLASS_INSTANCE_CONFLICT

    def _give_up(self, stale: Sequence[Question]) -> None:
        if not stale:
            return
        log.warning(
            "peer was not told what is kept, and is not tried any more: it may ask again",
            peer=stale[0].peer,
            requests=len(stale),
        )
        with self.database.write() as tx:
            commitment_questions.close(tx, stale)


def _check_open(number: int) -> None:
    """Raise Malformed where so many questions of a peer wait that it has to wait with the next."""
    if number >= MOST_OPEN:
        raise Malformed(status.RESOURCE_LIMITATION, f"{number} of its requests wait for their answer")


def _event_information(question: Question, failures: Mapping[str, int | None]) -> Dataset:
    """Return the Event Information of the report (PS3.4 table J.3-3)."""
    information = Dataset()
    information.TransactionUID = question.transaction_uid
    committed, failed = [], []
    for uid, sop_class in zip(question.sop_instance_uids, question.sop_class_uids, strict=True):
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        if (reason := failures[uid]) is None:
            committed.append(item)
        else:
            item.FailureReason = reason
            failed.append(item)
    if committed:
        information.ReferencedSOPSequence = committed
    if failed:
        information.FailedSOPSequence = failed
    return information
