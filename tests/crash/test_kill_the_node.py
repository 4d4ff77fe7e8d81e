"""kill -9 of the whole node at each hand-over: all that was acknowledged is answered, with the same bytes."""

from collections import defaultdict

import pytest

from tests.support.archive_scp import ArchiveSCP, digest, heatmaps, reports
from tests.support.mammograms import mammogram, standard_views
from tests.support.node_process import NodeProcess, peer
from tests.support.scu import store


def complete(received):
    return len({heatmap.SOPInstanceUID for heatmap in heatmaps(received)}) == 4 and reports(received)


HAND_OVERS = {
    "acknowledged, nothing analysed": "instance received",
    "first analysis done": "kind=ANALYSE",
    "report made": "kind=REPORT",
    "first result delivered": "result delivered",
}
"""What the node logs then."""


@pytest.mark.parametrize("hand_over", HAND_OVERS)
def test_killed_node_goes_on_where_it_was(tmp_path, hand_over):
    with ArchiveSCP("PACS") as pacs:
        node = NodeProcess(tmp_path, peers=peer("PACS", pacs.port))
        with node:
            answers = store(node.port, standard_views())
            assert [answer.Status for answer in answers] == [0] * 4
            node.lines.wait_for(HAND_OVERS[hand_over])
            node.kill()
            node.start()
            received = pacs.wait_for(complete)
        assert len(reports(received)) >= 1
        by_uid = defaultdict(set)
        for instance in received:
            by_uid[instance.SOPInstanceUID].add(digest(instance))
        assert all(len(digests) == 1 for digests in by_uid.values()), (
            "a repeated C-STORE must have the same bytes"
        )
        assert len({report.SOPInstanceUID for report in reports(received)}) == 1


def test_nothing_is_sent_again_after_a_recorded_success(tmp_path):
    with ArchiveSCP("PACS") as pacs:
        node = NodeProcess(tmp_path, peers=peer("PACS", pacs.port))
        with node:
            store(node.port, standard_views())
            pacs.wait_for(complete)
            node.lines.wait_for("result delivered", times=6)
            before = len(pacs.received)
            node.kill()
            node.start()
            other_image = mammogram("R", "CC", study="2", number=9)
            store(node.port, [other_image])
            pacs.wait_for(
                lambda all_: any(
                    report.StudyInstanceUID == other_image.StudyInstanceUID for report in reports(all_)
                )
            )
        first = [
            instance
            for instance in pacs.received
            if instance.StudyInstanceUID != other_image.StudyInstanceUID
        ]
        assert len(first) == before
