"""A real archive is asked for storage commitment, and asks for it: Orthanc, over associations of its own."""

import pytest

from storage.states import DeliveryState
from tests.support.commitment import MG, DeliveringNode, keep
from tests.support.mammograms import uid
from tests.support.orthanc import Orthanc
from tests.support.owed import owe
from tests.support.peers import free_port


@pytest.fixture
def node(tmp_path):
    with DeliveringNode(tmp_path / "data", free_port(), ae_title="ORTHANC", linger=0) as delivering_node:
        yield delivering_node


def report_on(node):
    """Deliver, ask, and wait for Orthanc's report."""
    node.reported.clear()
    node.deliver_and_ask()
    assert node.reported.wait(60), f"no report came: {node.standing()}"


def test_orthanc_commits_what_it_has_and_is_sent_again_what_it_lost(tmp_path, node):
    (peer,) = node.settings.peers
    uids = owe(node.database, node.archive, destinations=["ORTHANC"])
    with Orthanc(tmp_path / "orthanc", node_port=node.port, port=peer.port) as orthanc:
        node.sender.deliver("ORTHANC")
        lost = orthanc.instances(str(uid("study", "1")))[uids[0]][2]
        orthanc.delete(f"/instances/{lost}")
        report_on(node)
        assert node.standing() == {uids[0]: ("OWED", "FAILED"), uids[1]: ("SENT", "COMMITTED")}
        assert node.ledger()[uids[0]].failure_reason == 0x0112
        node.now = node.ledger()[uids[0]].next_try
        report_on(node)
    assert node.standing() == dict.fromkeys(uids, (DeliveryState.SENT, "COMMITTED"))


def test_orthanc_asks_and_is_told_what_the_node_keeps(tmp_path, node):
    (peer,) = node.settings.peers
    requests = [keep(node, "1.2.1"), (MG, "1.2.404")]
    with Orthanc(tmp_path / "orthanc", node_port=node.port, port=peer.port) as orthanc:
        path = orthanc.post("/modalities/secondread/storage-commitment", {"DicomInstances": requests})["Path"]
        assert orthanc.get(path)["Status"] == "Pending"
        node.answers.tell("ORTHANC")
        answer = orthanc.get(path)
    assert answer["Status"] == "Failure"
    assert [item["SOPInstanceUID"] for item in answer["Success"]] == ["1.2.1"]
    assert [item["SOPInstanceUID"] for item in answer["Failures"]] == ["1.2.404"]
