"""SIGTERM ends the node in order and within its bound, whoever is connected."""

import time

import pytest
from pynetdicom.presentation import build_context

from scp.network import contexts
from scp.node import STOP_SECONDS
from tests.support.archive_scp import ArchiveSCP, reports
from tests.support.mammograms import mammogram
from tests.support.node_process import NodeProcess, peer
from tests.support.peers import free_port
from tests.support.scu import associate, store


def test_idle_associations_share_one_bound(tmp_path):
    with NodeProcess(tmp_path, peers=peer("PACS", free_port()), working=False) as node:
        verification = [build_context(contexts.VERIFICATION)]
        idle = [associate(node.port, verification) for _ in range(4)]
        assert all(association.is_established for association in idle)
        started = time.monotonic()
        assert node.stop() == 0
        assert time.monotonic() - started < 3 * STOP_SECONDS, "four of them, one after the other"
        assert "association aborted" in node.log.read_text()


def test_second_node_on_the_same_data_is_refused_with_a_sentence(tmp_path):
    with NodeProcess(tmp_path, peers=peer("PACS", free_port()), working=False) as node:
        second = NodeProcess(tmp_path / "second", peers=peer("PACS", free_port()))
        second.config.write_text(second.config.read_text().replace(str(second.data_dir), str(node.data_dir)))
        with pytest.raises(AssertionError, match="another node is running on"):
            second.start()


def test_stopped_node_goes_on_with_what_it_had_acknowledged(tmp_path):
    with ArchiveSCP("PACS") as pacs:
        node = NodeProcess(tmp_path, peers=peer("PACS", pacs.port))
        with node:
            store(node.port, [mammogram("R", "CC")])
            assert node.stop() == 0
            node.start()
            pacs.wait_for(reports)
