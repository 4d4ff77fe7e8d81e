"""kill -9 of the whole node while it asks a PACS to keep its results: asked again, and all ends committed."""

import threading
from collections import defaultdict

import pytest
from pydicom.uid import UID

from storage.database.engine import Database
from storage.overview import deliveries
from storage.states import DeliveryState
from tests.support import lines
from tests.support.archive_scp import digest
from tests.support.committing_archive import CommittingArchive
from tests.support.mammograms import mammogram
from tests.support.node_process import NodeProcess, peer
from tests.support.scu import store

PATIENCE = "commitment_timeout_seconds = 2\ncommitment_linger_seconds = 1"
"""A request that got no report is repeated so soon."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def pacs():
    with CommittingArchive() as archive:
        yield archive


@pytest.fixture
def node(tmp_path, pacs):
    """Not started."""
    node_process = NodeProcess(tmp_path, peers=peer("PACS", pacs.port, commitment="true"), extra=PATIENCE)
    yield node_process
    if node_process.process is not None and node_process.process.poll() is None:
        node_process.kill()


def killed_at(pacs, node, moment, *, next_step=lambda: None):
    """Have the node killed at ``moment``, after ``next_step``; the event is set when it is dead."""
    dead = threading.Event()

    def kill():
        next_step()
        node.kill()
        dead.set()

    pacs.at[moment] = kill
    return dead


def uids(request):
    return {str(item.ReferencedSOPInstanceUID) for item in request.ReferencedSOPSequence}


def believed(pacs):
    """SOP Instance UIDs that reports have committed which the node has answered with success."""
    answered = {transaction for transaction, status in pacs.reported if status == 0x0000}
    return {
        uid
        for request in pacs.requests
        if str(request.TransactionUID) in answered
        for uid in uids(request) - pacs.failing.keys()
    }


def is_answered(pacs, requests):
    """Tell whether the node has answered a report on one of ``requests``: a slow one asks several times."""
    reported = {transaction for transaction, _ in pacs.reported}
    return any(str(request.TransactionUID) in reported for request in requests)


def ledger(node, study):
    database = Database.open(node.data_dir)
    try:
        with database.read() as tx:
            return deliveries.of_study(tx, str(study))
    finally:
        database.close()


def check(pacs, node, image):
    """All that was sent is committed, by requests of which each had a Transaction UID of its own."""
    sent = {
        str(instance.SOPInstanceUID)
        for instance in pacs.received
        if instance.StudyInstanceUID == image.StudyInstanceUID
    }
    entries = ledger(node, image.StudyInstanceUID)
    assert {entry.sop_instance_uid for entry in entries} == sent
    assert {(entry.state, entry.commitment) for entry in entries} == {(DeliveryState.SENT, "COMMITTED")}
    transactions = [UID(request.TransactionUID) for request in pacs.requests]
    assert len(transactions) == len(set(transactions))
    assert all(transaction.is_valid for transaction in transactions)
    by_uid = defaultdict(set)
    for instance in pacs.received:
        by_uid[instance.SOPInstanceUID].add(digest(instance))
    assert {len(digests) for digests in by_uid.values()} == {1}, "what is sent again has the same bytes"


def test_node_killed_at_every_hand_over_of_a_request_asks_again_until_all_is_committed(pacs, node):
    image = mammogram("R", "CC")
    pacs.silent = True
    dead = killed_at(pacs, node, "called")
    node.start()
    assert [answer.Status for answer in store(node.port, [image])] == [0x0000]
    assert dead.wait(lines.PATIENCE), "the node never asked"
    owed_uids = {str(instance.SOPInstanceUID) for instance in pacs.received}
    assert len(owed_uids) == 3  # report, summary and heatmap
    for moment in ("asked", "answered"):
        dead = killed_at(pacs, node, moment)
        node.start()
        assert dead.wait(lines.PATIENCE), f"the node never got so far: {moment}"
        assert uids(pacs.requests[-1]) == owed_uids
    pacs.silent = False
    dead = killed_at(pacs, node, "reported")
    node.start()
    assert dead.wait(lines.PATIENCE), "the node took no report"
    assert len(pacs.received) == 3, "nothing was sent again: every store had been recorded"
    request_number = len(pacs.requests)
    node.start()
    other_image = mammogram("R", "CC", study="2", number=9)
    store(node.port, [other_image])
    pacs.wait_for(lambda _: len(believed(pacs)) == 6)
    assert not any(uids(request) & owed_uids for request in pacs.requests[request_number:]), (
        "asked about what is committed"
    )
    assert node.stop() == 0
    check(pacs, node, image)
    check(pacs, node, other_image)


def test_object_whose_commitment_failed_is_sent_again_by_the_node_that_was_killed_then(pacs, node):
    image = mammogram("R", "CC")

    def lose_one():
        pacs.failing = {min(uids(pacs.requests[-1])): 0x0112}

    pacs.at["asked"] = lose_one
    lost = []
    dead = killed_at(pacs, node, "reported", next_step=lambda: lost.extend(pacs.failing))
    node.start()
    store(node.port, [image])
    assert dead.wait(lines.PATIENCE), "the node took no report"
    objects = believed(pacs)
    pacs.failing = {}
    request_number = len(pacs.requests)
    node.start()
    pacs.wait_for(lambda _: is_answered(pacs, pacs.requests[request_number:]))
    assert node.stop() == 0
    assert uids(pacs.requests[-1]) == set(lost)
    assert [str(instance.SOPInstanceUID) for instance in pacs.received[3:]] == lost
    assert objects.isdisjoint(lost)
    check(pacs, node, image)
