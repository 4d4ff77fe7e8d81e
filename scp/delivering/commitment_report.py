"""What peers report about their commitment: N-EVENT-REPORT in, rows moved, status out (PS3.4 J.3.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.events import Event

from scp import retry_policy
from scp.configuration.settings import Settings
from scp.network import status
from storage.database.engine import Database
from storage.errors import StorageError, Unknown
from storage.queue import commitment_reports, commitments
from storage.transitions.commitments import Commitment

log = structlog.get_logger(__name__)

ALL_COMMITTED: Final = 1
SOME_FAILED: Final = 2
"""Event Type ID (PS3.4 J.3.3.1.1)."""

FINAL: Final = frozenset({0x0119, 0x0122})
"""Failure Reasons (PS3.3 C.14.1.1) that sending the same object again does not mend."""


class Malformed(Exception):  # noqa: N818 - it is an answer to the peer, not a fault of ours
    """A report that cannot be used; knows its status (PS3.7 10.1.1.1.8)."""

    def __init__(self, status_code: int, sentence: str) -> None:
        self.status = status_code
        super().__init__(sentence)


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The Event Information of one report."""

    transaction_uid: str
    committed: frozenset[str]
    """SOP Instance UIDs."""
    failed: Mapping[str, int]
    """SOP Instance UID → Failure Reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What becomes of an object that a peer does not keep; with neither time it is parked."""

    code: int
    """Failure Reason."""
    reason: str
    send_again: datetime | None = None
    ask_again: datetime | None = None


def read(event_type: int | None, information: Dataset) -> Report:
    """Return what a report says. Raises Malformed."""
    if event_type not in (ALL_COMMITTED, SOME_FAILED):
        raise Malformed(status.NO_SUCH_EVENT_TYPE, f"event type {event_type} is unknown")
    try:
        transaction_uid = UID(information.TransactionUID)
        if not transaction_uid.is_valid:
            raise Malformed(status.INVALID_ARGUMENT, "its Transaction UID is no UID")
        return Report(
            transaction_uid=str(transaction_uid),
            committed=frozenset(
                str(item.ReferencedSOPInstanceUID) for item in _items(information, "ReferencedSOPSequence")
            ),
            failed={
                str(item.ReferencedSOPInstanceUID): int(item.get("FailureReason") or 0x0110)
                for item in _items(information, "FailedSOPSequence")
            },
        )
    except AttributeError as error:
        raise Malformed(status.NO_SUCH_ARGUMENT, "Transaction UID or an item's UID is missing") from error
    except (ValueError, TypeError, NotImplementedError) as error:
        raise Malformed(status.INVALID_ARGUMENT, "its data set cannot be read") from error


def _items(information: Dataset, keyword: str) -> Sequence[Dataset]:
    return information.get(keyword) or ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Reports:
    """Takes reports, over whichever association they come. Safe for use from many threads.

    A Transaction UID is random and told to one peer alone, so who names it is believed under any AE title:
    archives report from other titles than those that they receive at.
    """

    settings: Settings
    database: Database
    now: Callable[[], datetime]
    jitter: Callable[[], float]

    @property
    def handlers(self) -> tuple[evt.EventHandlerType, ...]:
        """What to bind to an association over which a report may come."""
        return ((evt.EVT_N_EVENT_REPORT, self.on_report),)

    def on_report(self, event: Event) -> tuple[int, None]:
        """Answer one N-EVENT-REPORT request: success means that what it says is in the database."""
        try:
            self.take(read(event.event_type, event.event_information))
        except Malformed as malformed:
            log.warning("storage commitment report refused", reason=str(malformed))
            return malformed.status, None
        except StorageError as error:
            log.warning("storage commitment report not kept", reason=str(error))
            return status.PROCESSING_FAILURE, None
        except Exception:
            log.exception("storage commitment report not kept: this is a fault of the node")
            return status.PROCESSING_FAILURE, None
        return status.SUCCESS, None

    def take(self, report: Report) -> None:
        """Write down what ``report`` says, all or nothing.

        Raises Malformed where it answers no request of this node.
        """
        with self.database.write() as tx:
            try:
                request = commitment_reports.answered(tx, report.transaction_uid, now=self.now())
            except Unknown as error:
                raise Malformed(status.INVALID_ARGUMENT, str(error)) from error
            asked_about = {commitment.sop_instance_uid: commitment for commitment in request.items}
            committed = [
                asked_about[uid] for uid in asked_about.keys() & (report.committed - report.failed.keys())
            ]
            lost = [asked_about[uid] for uid in asked_about.keys() & report.failed.keys()]
            news = sum(commitment_reports.confirm(tx, commitment, now=self.now()) for commitment in committed)
            for commitment in lost:
                outcome = self._outcome(commitment, report.failed[commitment.sop_instance_uid])
                if outcome.ask_again is not None:
                    commitments.again(
                        tx, [commitment.delivery_id], not_before=outcome.ask_again, reason=outcome.reason
                    )
                elif commitment_reports.counts_against(request, commitment):
                    commitment_reports.deny(
                        tx,
                        commitment,
                        failure_reason=outcome.code,
                        reason=outcome.reason,
                        send_again=outcome.send_again,
                        now=self.now(),
                    )
                    _log(commitment, outcome)
        strangers = len((report.committed | report.failed.keys()) - asked_about.keys())
        log.info(
            "storage commitment reported",
            destination=request.destination,
            transaction_uid=report.transaction_uid,
            newly_committed=news,
            failed=len(lost),
            **({"not_asked_about": strangers} if strangers else {}),
        )

    def _outcome(self, commitment: Commitment, code: int) -> Outcome:
        """Return what becomes of an object that the peer does not keep for the Failure Reason ``code``."""
        words = status.in_words(code)
        reason = f"{commitment.destination} took it and does not keep it: {words}"
        if code == status.DUPLICATE_TRANSACTION:  # about the request, not the object
            return Outcome(
                code=code, reason=words, ask_again=self.now() + self._wait(commitment.attempts + 1)
            )
        if code in FINAL or commitment.failures + 1 >= retry_policy.LOST_OBJECT_TRIES:
            return Outcome(code=code, reason=reason)
        return Outcome(code=code, reason=reason, send_again=self.now() + self._wait(commitment.failures + 1))

    def _wait(self, attempt: int) -> timedelta:
        return retry_policy.of_peer(self.settings.delivery).wait(attempt, jitter=self.jitter())


def _log(commitment: Commitment, outcome: Outcome) -> None:
    fields = {
        "destination": commitment.destination,
        "sop_instance_uid": commitment.sop_instance_uid,
        "reason": outcome.reason,
    }
    if outcome.send_again is None:
        log.error("delivery parked: the peer does not keep it", **fields)
    else:
        log.warning("sent again later: the peer does not keep it", **fields)
