"""Who watches a process without a console learns at a port whether it is alive and ready, and why not."""

import json
import urllib.error
import urllib.request

import pytest

from scp.configuration.health import Health
from scp.configuration.settings import Settings
from scp.roles.entrances import StartError
from scp.roles.health_port import HealthPort
from tests.support.node_process import NodeProcess
from tests.support.peers import free_port


def probe(port, path):
    """Return status and answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def listening(port, obstacles=()):
    return HealthPort(Settings(health=Health(host="127.0.0.1", port=port)), lambda: obstacles)


def test_what_is_missing_is_said():
    port = free_port()
    health_port = listening(port, ["the disk is full: images are refused"])
    answer = {"status": "not ready", "obstacles": ["the disk is full: images are refused"]}
    assert probe(port, "/readyz") == (503, answer)
    assert probe(port, "/healthz") == (200, {"status": "alive"})
    health_port.stop()


def test_a_port_that_is_taken_is_named():
    port = free_port()
    first = listening(port)
    with pytest.raises(StartError, match=rf"\[health\] host = '127\.0\.0\.1', port = {port}"):
        listening(port)
    first.stop()


def test_a_node_that_does_everything_answers_without_a_console(tmp_path):
    port = free_port()
    sections = f'[console]\nenabled = false\n[health]\nhost = "127.0.0.1"\nport = {port}\n'
    with NodeProcess(tmp_path, peers="", extra=sections, module="tests.support.scripted_node") as node:
        node.lines.wait_for("worker ready", seconds=100)
        assert probe(port, "/healthz") == (200, {"status": "alive"})
        assert probe(port, "/readyz") == (200, {"status": "ready", "obstacles": []})
        assert node.stop() == 0
