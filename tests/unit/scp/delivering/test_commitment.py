"""Storage commitment with a scripted archive: at once, late, twice, with failures, or never."""

from dataclasses import replace
from datetime import timedelta

import pytest
from pydicom.dataset import Dataset

from scp.configuration import settings
from scp.configuration.errors import ConfigError
from scp.delivering import commitment_request
from scp.delivering.dispatcher import Dispatcher
from scp.retry_policy import COMMITMENT_REQUEST_TRIES, LOST_OBJECT_TRIES
from storage.overview import attention
from storage.queue import deliveries
from storage.states import CommitmentState
from tests.support.archive_scp import ArchiveSCP
from tests.support.commitment import DeliveringNode
from tests.support.committing_archive import CommittingArchive
from tests.support.kinds import ResultKind
from tests.support.owed import owe
from tests.support.peers import free_port

LATER = timedelta(hours=7)


@pytest.fixture
def pacs():
    with CommittingArchive() as archive:
        yield archive


@pytest.fixture
def node(tmp_path, pacs):
    with DeliveringNode(tmp_path, pacs.port) as delivering_node:
        yield delivering_node


def transactions(pacs):
    return [item.TransactionUID for item in pacs.requests]


def doubts(node):
    with node.database.read() as tx:
        return [(item.state, item.reason) for item in attention.commitment_warnings(tx)]


def test_report_over_the_same_association_commits_what_was_sent(node, pacs):
    uids = owe(node.database, node.archive)
    node.deliver_and_ask()
    (request,) = pacs.requests
    assert [item.ReferencedSOPInstanceUID for item in request.ReferencedSOPSequence] == uids
    assert [item.ReferencedSOPClassUID for item in request.ReferencedSOPSequence] == [
        item.SOPClassUID for item in pacs.received
    ]
    assert node.standing() == dict.fromkeys(uids, ("SENT", "COMMITTED"))
    assert {item.committed_at for item in node.ledger().values()} == {node.now}
    node.deliver_and_ask(later=LATER)
    assert len(pacs.requests) == 1


def test_who_may_not_send_any_more_asks_no_further_and_leaves_the_rest_due(node, pacs, monkeypatch):
    uids = owe(node.database, node.archive)
    monkeypatch.setattr(commitment_request, "OBJECTS_AT_A_TIME", 1)
    node.commitment_requester = replace(node.commitment_requester, may_send=lambda: not pacs.requests)
    node.deliver_and_ask()
    assert len(pacs.requests) == 1
    assert sorted(state for _, state in node.standing().values()) == ["COMMITTED", "DUE"]
    node.commitment_requester = replace(node.commitment_requester, may_send=lambda: True)
    node.deliver_and_ask()
    assert node.standing() == dict.fromkeys(uids, ("SENT", "COMMITTED"))


@pytest.fixture
def patient_node(tmp_path, pacs):
    """Asks an archive that is silent at first, and does not wait for it."""
    pacs.silent = True
    with DeliveringNode(tmp_path, pacs.port, linger=0) as delivering_node:
        yield delivering_node


@pytest.mark.parametrize("with_role", [True, False])
def test_report_over_a_new_association_commits_and_may_come_twice(patient_node, pacs, with_role):
    node = patient_node
    uids = owe(node.database, node.archive)
    node.deliver_and_ask()
    report = pacs.said_of(pacs.requests[0])
    assert node.standing() == dict.fromkeys(uids, ("SENT", "ASKED"))
    for _ in range(2):
        assert pacs.report(node.port, report, with_role=with_role) == 0x0000
        assert node.standing() == dict.fromkeys(uids, ("SENT", "COMMITTED"))


def test_report_that_cannot_be_used_gets_the_status_that_says_why(node, pacs):
    nameless = Dataset()
    nameless.ReferencedSOPSequence = []
    unknown = Dataset()
    unknown.TransactionUID = "2.25.404"
    assert pacs.report(node.port, unknown) == 0x0115
    assert pacs.report(node.port, nameless) == 0x0114
    assert pacs.report(node.port, unknown, event_type=7) == 0x0113


def test_request_without_report_is_made_again_and_the_first_may_still_be_answered(patient_node, pacs):
    node = patient_node
    uids = owe(node.database, node.archive)
    node.deliver_and_ask()
    node.deliver_and_ask(later=timedelta(hours=5))
    assert transactions(pacs) == ["2.25.1"]
    node.deliver_and_ask(later=timedelta(hours=1))
    assert transactions(pacs) == ["2.25.1", "2.25.2"]
    assert [state for state, _ in doubts(node)] == [CommitmentState.ASKED]
    assert pacs.report(node.port, pacs.said_of(pacs.requests[0])) == 0x0000
    assert node.standing() == dict.fromkeys(uids, ("SENT", "COMMITTED"))


def test_object_that_was_lost_is_sent_again_and_committed(node, pacs):
    report, heatmap = owe(node.database, node.archive)
    pacs.failing = {report: 0x0112}
    node.deliver_and_ask()
    assert node.standing() == {report: ("OWED", "FAILED"), heatmap: ("SENT", "COMMITTED")}
    assert node.ledger()[report].reason == "PACS took it and does not keep it: 0x0112 (No Such SOP Instance)"
    pacs.failing = {}
    node.deliver_and_ask(later=timedelta(minutes=1))
    assert [item.SOPInstanceUID for item in pacs.received] == [report, heatmap, report]
    assert node.standing()[report] == ("SENT", "COMMITTED")


def test_object_whose_class_the_peer_cannot_commit_is_parked_and_retry_sends_it(node, pacs):
    (report,) = owe(node.database, node.archive, kinds=[ResultKind.SR])
    pacs.failing = {report: 0x0122}
    node.deliver_and_ask()
    assert node.standing()[report] == ("PARKED", "FAILED")
    assert node.ledger()[report].reason.endswith("0x0122 (SOP Class Not Supported)")
    with node.database.write() as tx:
        assert deliveries.retry(tx, now=node.now) == 1
    pacs.failing = {}
    node.deliver_and_ask()
    assert node.standing()[report] == ("SENT", "COMMITTED")


def test_object_that_is_lost_again_and_again_is_parked(node, pacs):
    (report,) = owe(node.database, node.archive, kinds=[ResultKind.SR])
    pacs.failing = {report: 0x0110}
    for _ in range(LOST_OBJECT_TRIES):
        assert node.standing()[report][0] == "OWED"
        node.deliver_and_ask(later=timedelta(hours=1))
    assert node.standing()[report] == ("PARKED", "FAILED")
    assert len(set(transactions(pacs))) == LOST_OBJECT_TRIES


def test_duplicate_transaction_is_asked_about_again_and_not_sent_again(node, pacs):
    (report,) = owe(node.database, node.archive, kinds=[ResultKind.SR])
    pacs.failing = {report: 0x0131}
    node.deliver_and_ask()
    pacs.failing = {}
    node.deliver_and_ask(later=LATER)
    assert len(pacs.received) == 1
    assert node.standing()[report] == ("SENT", "COMMITTED")


def test_peer_that_knows_no_storage_commitment_is_parked_with_what_to_do(tmp_path):
    with ArchiveSCP() as plain, DeliveringNode(tmp_path, plain.port) as node:
        uids = owe(node.database, node.archive)
        node.deliver_and_ask()
        assert node.standing() == dict.fromkeys(uids, ("SENT", "PARKED"))
        ((_, reason),) = doubts(node)
    assert reason.endswith("allow it there for this node, or set commitment = false for this peer")


@pytest.mark.parametrize(("answer", "after"), [(0x0124, "PARKED"), (0x0110, "DUE")])
def test_refused_request_is_made_again_until_it_is_clear_that_it_is_meant(node, pacs, answer, after):
    (report,) = owe(node.database, node.archive, kinds=[ResultKind.SR])
    pacs.answer = answer
    for _ in range(COMMITMENT_REQUEST_TRIES):
        assert node.standing()[report] in {("OWED", None), ("SENT", "DUE")}
        node.deliver_and_ask(later=timedelta(hours=1))
    assert node.standing()[report] == ("SENT", after)
    assert f"0x{answer:04X}" in doubts(node)[0][1]


def test_association_that_breaks_in_the_middle_leaves_the_question_to_be_asked(node, pacs):
    (report,) = owe(node.database, node.archive, kinds=[ResultKind.SR])
    pacs.abort = True
    node.deliver_and_ask()
    assert node.standing()[report] == ("SENT", "DUE")
    pacs.abort = False
    node.deliver_and_ask(later=timedelta(minutes=1))
    assert node.standing()[report] == ("SENT", "COMMITTED")


def test_peer_that_is_gone_is_asked_when_it_returns(tmp_path):
    port = free_port()
    with DeliveringNode(tmp_path, port) as node:
        (report,) = owe(node.database, node.archive, kinds=[ResultKind.SR])
        with ArchiveSCP(port=port):
            node.sender.deliver("PACS")
        node.commitment_requester.ask("PACS")
        assert node.standing()[report] == ("SENT", "DUE")
        assert f"PACS at 127.0.0.1:{port}" in doubts(node)[0][1]
        with CommittingArchive(port=port):
            node.deliver_and_ask(later=timedelta(minutes=1))
        assert node.standing()[report] == ("SENT", "COMMITTED")


def test_report_in_the_class_that_the_peer_wants_is_asked_about_under_its_own_uid(tmp_path, pacs):
    with DeliveringNode(tmp_path, pacs.port, sr_class="comprehensive3d") as node:
        (report,) = owe(node.database, node.archive, kinds=[ResultKind.SR])
        node.deliver_and_ask()
        (item,) = pacs.requests[0].ReferencedSOPSequence
        assert item.ReferencedSOPInstanceUID == pacs.received[0].SOPInstanceUID != report
        assert node.standing()[report] == ("SENT", "COMMITTED")


def test_peer_without_the_key_is_not_asked(tmp_path, pacs):
    with DeliveringNode(tmp_path, pacs.port, commitment=False) as node:
        uids = owe(node.database, node.archive)
        node.deliver_and_ask()
        assert node.standing() == dict.fromkeys(uids, ("SENT", None))
    assert pacs.requests == []


def test_dispatcher_sends_and_then_asks(node, pacs):
    owe(node.database, node.archive, kinds=[ResultKind.SR])
    dispatcher = Dispatcher(
        database=node.database,
        sender=node.sender,
        commitment_requester=node.commitment_requester,
        commitment_answers=node.answers,
        now=lambda: node.now,
    )
    dispatcher.start()
    pacs.wait_for(lambda _: pacs.requests)
    assert dispatcher.stop(60)
    assert set(node.standing().values()) == {("SENT", "COMMITTED")}


def test_peer_that_cannot_be_reached_cannot_be_asked(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('[[peers]]\nae_title = "PACS"\ncommitment = true\n')
    with pytest.raises(ConfigError, match=r"peers\[1\]\.commitment = true \('PACS'\) asks nobody"):
        settings.load(file, {})
