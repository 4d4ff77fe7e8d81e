"""kill -9 of the whole node at each hand-over: all that was acknowledged is answered, with the same bytes."""

from collections import defaultdict

import pytest

from tests.support import audit
from tests.support.archive_scp import ArchiveSCP, digest, heatmaps, reports
from tests.support.mammograms import standard_views
from tests.support.node_process import WHOLE, NodeProcess, peer
from tests.support.peers import free_port
from tests.support.scu import store

pytestmark = pytest.mark.timeout(600)


def complete(received):
    return len({heatmap.SOPInstanceUID for heatmap in heatmaps(received)}) == 4 and reports(received)


BEFORE_DELIVERY = ("instance received", "kind=ANALYSE", "kind=REPORT")
"""What the node logs at a hand-over while its peer is away: acknowledged, one analysis done, report made."""


def kill_at(node, hand_over):
    """Kill the node when it logs ``hand_over``, or where an earlier kill came so late; start it again."""
    if hand_over not in node.log.read_text():
        node.lines.wait_for(hand_over)
    node.kill()
    node.start()


def test_node_killed_at_each_hand_over_goes_on_where_it_was_and_repeats_no_recorded_success(tmp_path):
    """One study and one node for all: each life has to load its network."""
    port = free_port()
    with NodeProcess(tmp_path, peers=peer("PACS", port), quiet_seconds=WHOLE) as node:
        assert [answer.Status for answer in store(node.port, standard_views())] == [0] * 4
        for hand_over in BEFORE_DELIVERY:
            kill_at(node, hand_over)
        with ArchiveSCP("PACS", port=port) as pacs:
            kill_at(node, "result delivered")
            received = pacs.wait_for(complete)
            assert audit.wait_until_settled(node.data_dir, 60) == 0
            by_uid = defaultdict(set)
            for instance in received:
                by_uid[instance.SOPInstanceUID].add(digest(instance))
            assert all(len(digests) == 1 for digests in by_uid.values()), (
                "a repeated C-STORE must have the same bytes"
            )
            assert len({report.SOPInstanceUID for report in reports(received)}) == 1
            _check_that_nothing_is_sent_again(node, pacs)


def _check_that_nothing_is_sent_again(node, pacs):
    before = len(pacs.received)
    node.kill()
    node.start()
    other_images = standard_views(study="2")
    store(node.port, other_images)
    other_study = other_images[0].StudyInstanceUID
    pacs.wait_for(lambda all_: any(report.StudyInstanceUID == other_study for report in reports(all_)))
    again = [instance for instance in pacs.received if instance.StudyInstanceUID != other_study]
    assert len(again) == before
