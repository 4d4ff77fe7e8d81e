"""Who watches a process without a console learns at a port whether it is alive and ready, and why not."""

import json
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress

import pytest

from scp.configuration.health import Health
from scp.configuration.settings import Settings
from scp.roles import health_port as module
from scp.roles.entrances import StartError
from scp.roles.health_port import MOST_CALLERS, HealthPort
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


def calling(port):
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def test_no_software_is_named():
    port = free_port()
    health_port = listening(port)
    with calling(port) as line:
        line.sendall(b"GET /nothing HTTP/1.0\r\n\r\n")
        answer = line.makefile("rb").read()
    health_port.stop()
    assert answer.startswith(b"HTTP/1.0 404 ")
    assert b"Server:" not in answer
    assert b"Python" not in answer


def test_a_caller_that_resets_its_connection_leaves_no_trace_on_the_terminal(capfd):
    port, question, reset = free_port(), threading.Event(), threading.Event()

    def obstacles():
        question.set()
        reset.wait(20)
        return ["x" * 1_000_000]

    health_port = HealthPort(Settings(health=Health(host="127.0.0.1", port=port)), obstacles)
    line = calling(port)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
    assert question.wait(20)
    line.close()
    reset.set()
    deadline = time.monotonic() + 20
    while health_port._server._deadlines:
        assert time.monotonic() < deadline
        time.sleep(0.01)  # nothing tells when the server has heard of it
    health_port.stop()
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_caller_beyond_the_most_is_closed_and_those_that_drip_lose_their_place(monkeypatch):
    monkeypatch.setattr(module, "CALL_SECONDS", 1.0)
    port = free_port()
    health_port = listening(port)
    callers = [calling(port) for _ in range(MOST_CALLERS)]
    for caller in callers:
        caller.sendall(b"GET /healthz HT")
    with calling(port) as surplus:
        assert surplus.recv(1) == b""
    deadline = time.monotonic() + 20
    while health_port._server._deadlines:  # each byte in its own time, the request never
        assert time.monotonic() < deadline
        with suppress(OSError):
            for caller in callers:
                caller.sendall(b"x")
        time.sleep(0.1)
    monkeypatch.undo()
    assert probe(port, "/healthz") == (200, {"status": "alive"})
    for caller in callers:
        caller.close()
    health_port.stop()


def test_a_node_that_does_everything_answers_without_a_console(tmp_path):
    port = free_port()
    sections = f'[console]\nenabled = false\n[health]\nhost = "127.0.0.1"\nport = {port}\n'
    with NodeProcess(tmp_path, peers="", extra=sections, module="tests.support.scripted_node") as node:
        node.lines.wait_for("worker ready", seconds=100)
        assert probe(port, "/healthz") == (200, {"status": "alive"})
        assert probe(port, "/readyz") == (200, {"status": "ready", "obstacles": []})
        assert node.stop() == 0
