"""A node whose rows are in PostgreSQL: the server goes and comes back, and nothing acknowledged is lost."""

import os
import signal

import pytest

from tests.support import postgresql
from tests.support.archive_scp import ArchiveSCP, heatmaps, reports
from tests.support.command_line import CommandLine
from tests.support.mammograms import standard_views
from tests.support.node_process import NodeProcess, peer
from tests.support.scu import store
from tests.support.web import Console

pytestmark = [
    pytest.mark.timeout(600),
    # tests/unit/storage/database/test_postgresql.py cuts sessions, tests/crash/test_roles.py kills processes
    pytest.mark.skipif("SECONDREAD_CHAOS_ROUNDS" not in os.environ, reason="a long form: make chaos"),
]

AGAIN = 0xA700
"""PS3.4 table B.2-1: out of resources."""


@pytest.fixture
def cluster():
    """A server of this test's own, as careful as it is by default."""
    own = postgresql.Cluster()
    yield own.start()
    own.remove()


def complete(received):
    return len({heatmap.SOPInstanceUID for heatmap in heatmaps(received)}) == 4 and reports(received)


def statuses(node, *views):
    return [answer.Status for answer in store(node.port, views)]


def test_node_outlives_its_database_server(tmp_path, cluster, monkeypatch, capsys):
    url = cluster.create("secondread")
    first, second, third, fourth = standard_views()
    with ArchiveSCP("PACS") as pacs:
        node = NodeProcess(
            tmp_path / "node", peers=peer("PACS", pacs.port), extra=f'[database]\nurl = "{url}"\n'
        )
        with node:
            assert statuses(node, first) == [0]
            cluster.stop()
            assert statuses(node, second) == [AGAIN]
            cluster.start()
            assert statuses(node, second, third, fourth) == [0, 0, 0]
            cluster.stop(signal.SIGQUIT)
            cluster.start()
            pacs.wait_for(complete, seconds=300)
            _commands_and_console(node, CommandLine(monkeypatch, capsys), tmp_path)
        assert node.process.returncode == 0
    assert "handler" not in node.log.read_text()  # what fails for now is no fault, and raises in no event
    assert not list(node.data_dir.glob("*.sqlite*"))


def _commands_and_console(node, run, tmp_path):
    standing = run("--config", node.config, "status", "--json")
    assert (standing.code, standing.json["node"]["running"]) == (0, True)
    (study,) = run("--config", node.config, "studies", "--json").lines
    assert (study["images"], study["analysed"]) == (4, 4)
    assert "sound, schema" in run("--config", node.config, "check").out
    backup = tmp_path / "backup.tar"
    assert run("--config", node.config, "backup", backup).code == 0
    refused = run("--config", node.config, "restore", backup)
    assert "there are rows in" in refused.err
    console = Console(node.config)
    try:
        assert "PACS" in console.browser().get("/").words
    finally:
        console.stop()
