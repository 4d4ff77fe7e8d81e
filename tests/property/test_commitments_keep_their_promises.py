"""Storage commitment in any order, with crashes: nobody is believed too soon, and nothing is lost.

The node's own CommitmentRequester and Reports work on a real SQLite file against a peer that a child could
keep: it says what it likes, when it likes. A crash is an exception at one of the moments at which they look
at the clock.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from unittest import mock

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pydicom.dataset import Dataset
from sqlalchemy import select

from scp.configuration.sections import Delivery, Node, Peer
from scp.configuration.settings import Settings
from scp.delivering.commitment_report import Malformed, Report, Reports
from scp.delivering.commitment_request import CommitmentRequester
from scp.network import association
from scp.network.association import Unreachable
from storage.database import schema
from storage.database.engine import Database
from storage.database.sqlite.backend import NAME
from storage.queue import commitments
from storage.queue import deliveries as outbox
from storage.states import UNCOMMITTED, CommitmentState, DeliveryState
from storage.upkeep import retention
from tests.support import postgresql
from tests.unit.storage.making import QUIET, Hand, arrival, assert_counted, empty_database, open_hastily

STUDIES = ("1.2.1", "1.2.2")
TIMEOUT = timedelta(hours=6)
LONGEST_WAIT = TIMEOUT + timedelta(hours=1)
REASONS = st.sampled_from((0x0110, 0x0112, 0x0112, 0x0213, 0x0119, 0x0131))
MANNERS = (
    "accepts",
    "accepts",
    "accepts",
    "reports first",
    "refuses",
    "resents",
    "breaks",
    "is gone",
    "crash",
)
STATUSES = {"refuses": 0x0110, "resents": 0x0124}
FUSE = st.sampled_from((None, None, None, 1, 2, 3, 4))
"""How often the clock is looked at before the crash."""


class Crash(Exception):  # noqa: N818
    """The process ends here."""


class Conversation:
    """An association with a peer of certain ``manner``, as far as the CommitmentRequester uses it."""

    is_established = True

    def __init__(self, machine: Promises, manner: str) -> None:
        self._machine = machine
        self._manner = manner

    def send_n_action(self, information: Dataset, *_: object) -> tuple[Dataset, None]:
        transaction = str(information.TransactionUID)
        assert transaction not in self._machine.requests, "a Transaction UID was used twice"
        named = {str(item.ReferencedSOPInstanceUID) for item in information.ReferencedSOPSequence}
        assert named <= self._machine.stored, "asked about what the peer was never given"
        self._machine.requests[transaction] = named
        if self._manner == "crash":
            raise Crash
        answer = Dataset()
        if self._manner == "breaks":
            return answer, None
        if self._manner == "reports first":
            self._machine.hear_report(transaction, {})
        answer.Status = STATUSES.get(self._manner, 0x0000)
        return answer, None

    def release(self) -> None:
        """Nothing is left open."""


class Promises(RuleBasedStateMachine):
    """What a peer took and said, beside what the node has written down."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self._path = Path(self._directory.name)
        self.prepare()
        self.hand = Hand(self.connect())
        self.numbers = itertools.count(1)
        self.fuse: int | None = None
        self.obligations: dict[str, str] = {}
        """What was ever owed and is not forgotten: SOP Instance UID → study."""
        self.stored: set[str] = set()
        """What the peer has answered with success."""
        self.requests: dict[str, set[str]] = {}
        """What it was asked about: Transaction UID → SOP Instance UIDs."""
        self.promised: set[str] = set()
        """What it has said that it keeps, and the node has heard it."""

    def prepare(self) -> None:
        """Make a database without rows."""
        (self._path / NAME).write_bytes(empty_database())

    def connect(self) -> Database:
        """Return the database as a node opens it."""
        return open_hastily(self._path)

    def teardown(self) -> None:
        """End with a peer that does all that is wanted: then nothing may be left open."""
        try:
            self.fuse = None
            for _ in range(3):
                self.retry()
                self.deliver(status=0x0000, crash=False)
                self.asks("reports first", fuse=None)
                self.hand.now += LONGEST_WAIT
            left = {
                uid: row for uid, row in self._rows().items() if row.commitment != CommitmentState.COMMITTED
            }
            assert all(row.state is DeliveryState.WITHDRAWN for row in left.values()), left
        finally:
            self.hand.database.close()
            self._directory.cleanup()

    @initialize()
    def first_study(self) -> None:
        self.study_is_reported(STUDIES[0])
        self.deliver(status=0x0000, crash=False)

    @rule(study=st.sampled_from(STUDIES))
    def study_is_reported(self, study: str) -> None:
        """Report a study, or report it anew: what was not sent of the earlier report is withdrawn."""
        number = next(self.numbers)
        for image in range(4):
            self.hand.receive(arrival(image, study=study, header_digest=f"header {number}"))
        self.hand.analyse_all()
        self.hand.now += QUIET
        assert self.hand.ask_for_reports() == 1
        uids = {f"{study}.{number}.1", f"{study}.{number}.2"}
        self.hand.report(self.hand.claimed(), f"{study}.{number}.2", document=f"{study}.{number}.1")
        self.obligations |= dict.fromkeys(uids, study)

    @rule(status=st.sampled_from((0x0000, 0x0000, 0x0000, 0xA700, 0xC000)), crash=st.booleans())
    def deliver(self, status: int, *, crash: bool) -> None:
        """Offer what is due; with ``crash`` the node dies when the peer has answered for the first object."""
        for delivery in self.hand.due():
            uid = delivery.result.sop_instance_uid
            if status == 0x0000:
                self.stored.add(uid)
            if crash:
                self._restart()
                return
            with self.hand.database.write() as tx:
                now, later = self.hand.now, self.hand.now + timedelta(minutes=15)
                if status == 0x0000:
                    outbox.sent(tx, delivery.id, status=status, now=now)
                    sop_class = delivery.result.sop_class_uid
                    commitments.want(tx, delivery, sop_class_uid=sop_class, sop_instance_uid=uid, now=now)
                elif status == 0xA700:
                    outbox.again(tx, delivery.id, not_before=later, status=status, reason="later", now=now)
                else:
                    outbox.never(tx, delivery.id, status=status, reason="no", now=now)

    @rule(manner=st.sampled_from(MANNERS), fuse=FUSE)
    def asks(self, manner: str, fuse: int | None) -> None:
        """Ask the peer for the commitment of everything that is due."""
        failure = Unreachable("nobody answers") if manner == "is gone" else None
        conversation = Conversation(self, manner)
        with (
            self._mortal(fuse),
            mock.patch.object(association, "associate", side_effect=failure, return_value=conversation),
        ):
            CommitmentRequester(
                settings=self._settings,
                database=self.hand.database,
                reports=self._reports,
                now=self._clock,
                jitter=lambda: 0.0,
                new_uid=lambda: f"2.25.{next(self.numbers)}",
            ).ask("PACS")

    @precondition(lambda self: self.requests)
    @rule(
        back=st.integers(0, 5),
        lost=st.sampled_from(("none", "none", "one", "one", "all")),
        reason=REASONS,
        silent_about_the_rest=st.booleans(),
        fuse=FUSE,
    )
    def peer_reports(
        self, back: int, lost: str, reason: int, *, silent_about_the_rest: bool, fuse: int | None
    ) -> None:
        """Report on one of the last requests: for the first time, again, or long after it was repeated."""
        transaction = list(self.requests)[-1 - min(back, len(self.requests) - 1)]
        named = sorted(self.requests[transaction])
        failed = {"none": [], "one": named[:1], "all": named}[lost]
        with self._mortal(fuse):
            silent = set(named[1:]) if silent_about_the_rest else set()
            self.hear_report(transaction, dict.fromkeys(failed, reason), silent=silent)

    @rule()
    def peer_reports_on_what_it_was_never_asked(self) -> None:
        try:
            self.hear_report("2.25.999999", {}, committed=set(self.obligations))
        except Malformed:
            return
        raise AssertionError("a report on a transaction that nobody knows was accepted")

    @rule(span=st.sampled_from((timedelta(seconds=30), timedelta(minutes=20), LONGEST_WAIT)))
    def time_passes(self, span: timedelta) -> None:
        self.hand.now += span

    @rule()
    def retry(self) -> None:
        with self.hand.database.write() as tx:
            outbox.retry(tx, now=self.hand.now)
            commitments.retry(tx, now=self.hand.now)

    @rule()
    def house_is_kept(self) -> None:
        """Forget what retention allows, whatever its age: of that, all must be promised or withdrawn."""
        before = self._rows()
        with self.hand.database.write() as tx:
            later = self.hand.now + timedelta(seconds=1)
            expired_studies = {item.study_uid for item in retention.expired(tx, before=later, limit=9)}
        for uid in [uid for uid, study in self.obligations.items() if study in expired_studies]:
            assert uid in self.promised or before[uid].state is DeliveryState.WITHDRAWN, (
                f"{uid} was forgotten"
            )
            del self.obligations[uid]
        for named in self.requests.values():
            named.intersection_update(self.obligations)
        self.promised &= self.obligations.keys()

    @invariant()
    def committed_is_what_the_peer_has_said_and_nothing_else(self) -> None:
        rows = self._rows()
        assert self.promised == {
            uid for uid, row in rows.items() if row.commitment == CommitmentState.COMMITTED
        }

    @invariant()
    def what_is_counted_is_what_there_is(self) -> None:
        assert_counted(self.hand.database)

    @invariant()
    def nothing_owed_disappears(self) -> None:
        """Each object is on its way to be committed, waits for a person, or was replaced unsent."""
        rows = self._rows()
        assert rows.keys() == self.obligations.keys()
        for uid, row in rows.items():
            if row.state is DeliveryState.SENT and row.commitment != CommitmentState.COMMITTED:
                assert row.commitment in UNCOMMITTED, f"{uid} was sent, and nobody asks about it"
                assert row.ask_at <= self.hand.now + LONGEST_WAIT, f"{uid} is asked about too late"
            elif row.state is DeliveryState.OWED:
                assert row.send_at <= self.hand.now + LONGEST_WAIT, f"{uid} is sent too late"
            elif row.state is DeliveryState.WITHDRAWN:
                assert not row.current, f"{uid} was withdrawn, and nothing has replaced it"

    def hear_report(
        self,
        transaction: str,
        failed: dict[str, int],
        *,
        silent: set[str] | None = None,
        committed: set[str] | None = None,
    ) -> None:
        """Have the node hear a report; remember what it promises once that is in the book."""
        named = self.requests.get(transaction, set())
        committed_uids = (named if committed is None else committed) - failed.keys() - (silent or set())
        try:
            self._reports.take(
                Report(transaction_uid=transaction, committed=frozenset(committed_uids), failed=failed)
            )
        except Malformed:
            assert not named, "a report on a request of the node's own was refused"
            if committed is not None:
                raise
            return
        self.promised |= committed_uids

    @property
    def _settings(self) -> Settings:
        return Settings(
            node=Node(data_dir=self._path),
            peers=(Peer(ae_title="PACS", host="127.0.0.1", port=104, commitment=True),),
            delivery=Delivery(
                commitment_timeout_seconds=TIMEOUT.total_seconds(), commitment_linger_seconds=0
            ),
        )

    @property
    def _reports(self) -> Reports:
        return Reports(
            settings=self._settings, database=self.hand.database, now=self._clock, jitter=lambda: 0.0
        )

    def _clock(self):
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse <= 0:
                raise Crash
        return self.hand.now

    @contextmanager
    def _mortal(self, fuse: int | None) -> Iterator[None]:
        """Restart the node where it dies inside."""
        self.fuse = fuse
        try:
            yield
        except Crash:
            self._restart()
        finally:
            self.fuse = None

    def _restart(self) -> None:
        self.hand.database.close()
        self.hand.database = self.connect()

    def _rows(self):
        """How every object stands, by SOP Instance UID."""
        deliveries, commitment_table = schema.deliveries, schema.commitments
        query = (
            select(
                deliveries.c.sop_instance_uid,
                deliveries.c.state,
                deliveries.c.not_before.label("send_at"),
                commitment_table.c.state.label("commitment"),
                commitment_table.c.not_before.label("ask_at"),
                schema.reports.c.current,
            )
            .join(commitment_table, commitment_table.c.delivery_id == deliveries.c.id, isouter=True)
            .join(schema.results, schema.results.c.sop_instance_uid == deliveries.c.sop_instance_uid)
            .join(schema.reports, schema.reports.c.id == schema.results.c.report_id)
        )
        with self.hand.database.read() as tx:
            return {row.sop_instance_uid: row for row in tx.execute(query)}


class PromisesOnPostgreSQL(Promises):
    """The same in a database of a server."""

    def prepare(self) -> None:
        postgresql.emptied()

    def connect(self) -> Database:
        return postgresql.opened()


SETTINGS = settings(
    max_examples=50 if "SECONDREAD_CHAOS_ROUNDS" in os.environ else 20,  # make chaos: all
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
Promises.TestCase.settings = SETTINGS
PromisesOnPostgreSQL.TestCase.settings = settings(SETTINGS, max_examples=6)
test_commitments_keep_their_promises = Promises.TestCase
test_commitments_keep_their_promises_on_postgresql = PromisesOnPostgreSQL.TestCase
