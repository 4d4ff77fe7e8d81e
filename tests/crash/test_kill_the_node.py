"""kill -9 of the whole node at each hand-over: all that was acknowledged is answered, with the same bytes."""

import time
from collections import defaultdict

import pytest

from tests.support.archive_scp import ArchiveSCP, digest, heatmaps, reports
from tests.support.mammograms import mammogram
from tests.support.node_process import NodeProcess, peer
from tests.support.scu import store

VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))


def study():
    return [mammogram(laterality, view, number=n) for n, (laterality, view) in enumerate(VIEWS, 1)]


def complete(received):
    return len({one.SOPInstanceUID for one in heatmaps(received)}) == 4 and reports(received)


HAND_OVERS = {
    "acknowledged, nothing analysed": lambda node: True,
    "first analysis done": lambda node: "kind=ANALYSE" in node.log.read_text(),
    "report made": lambda node: "kind=REPORT" in node.log.read_text(),
    "first result delivered": lambda node: "result delivered" in node.log.read_text(),
}


@pytest.mark.parametrize("hand_over", HAND_OVERS)
def test_killed_node_goes_on_where_it_was(tmp_path, hand_over):
    with ArchiveSCP("PACS") as pacs:
        node = NodeProcess(tmp_path, peers=peer("PACS", pacs.port))
        with node:
            answers = store(node.port, study())
            assert [one.Status for one in answers] == [0] * 4
            deadline = time.monotonic() + 60
            while not HAND_OVERS[hand_over](node):
                assert time.monotonic() < deadline
                time.sleep(0.01)  # the log is the only view into a process that is about to be killed
            node.kill()
            node.start()
            received = pacs.wait_for(complete)
        assert len(reports(received)) >= 1
        by_uid = defaultdict(set)
        for one in received:
            by_uid[one.SOPInstanceUID].add(digest(one))
        assert all(len(digests) == 1 for digests in by_uid.values()), (
            "a repeated C-STORE must have the same bytes"
        )
        assert len({one.SOPInstanceUID for one in reports(received)}) == 1


def test_nothing_is_sent_again_after_a_recorded_success(tmp_path):
    with ArchiveSCP("PACS") as pacs:
        node = NodeProcess(tmp_path, peers=peer("PACS", pacs.port))
        with node:
            store(node.port, study())
            pacs.wait_for(complete)
            deadline = time.monotonic() + 30
            while node.log.read_text().count("result delivered") < 5:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            before = len(pacs.received)
            node.kill()
            node.start()
            other = mammogram("R", "CC", study="2", number=9)
            store(node.port, [other])
            pacs.wait_for(
                lambda all_: any(one.StudyInstanceUID == other.StudyInstanceUID for one in reports(all_))
            )
        first = [one for one in pacs.received if one.StudyInstanceUID != other.StudyInstanceUID]
        assert len(first) == before
