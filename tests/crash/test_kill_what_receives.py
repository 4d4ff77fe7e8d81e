"""kill -9 of a process that receives beside the node's own, and of the node's own beside it."""

import contextlib
import os
import signal
import time

import pytest

from storage.database.engine import Database
from storage.queue import arrivals
from tests.support.kills import kill_listener, receivers_of
from tests.support.lines import PATIENCE
from tests.support.node_process import NodeProcess, peer
from tests.support.peers import free_port
from tests.support.steady_sender import SteadySender

pytestmark = pytest.mark.timeout(600)


def acknowledged(senders):
    return sum(len(sender.acknowledged) for sender in senders)


def wait_for_more(senders, number):
    """Wait until the node has taken so many more images."""
    enough, deadline = acknowledged(senders) + number, time.monotonic() + PATIENCE
    while acknowledged(senders) < enough:
        assert time.monotonic() < deadline
        time.sleep(0.05)  # nothing tells what a sender was answered


def killed_receiver(node):
    """Kill the node's other process that receives, once there is one."""
    deadline = time.monotonic() + PATIENCE
    while not (receivers := receivers_of(node.process.pid)):
        assert time.monotonic() < deadline
        time.sleep(0.05)  # nothing tells when a process appears
    os.kill(receivers[0], signal.SIGKILL)


def test_what_was_acknowledged_is_there_whichever_process_dies(tmp_path):
    """Its worker never loads a network: it would take both cores, and receives nothing."""
    peers = peer("PACS", free_port())
    node = NodeProcess(tmp_path, peers=peers, module="tests.support.scripted_node", receiving=2)
    senders = [SteadySender(node.port, "PACS", pause=0.05) for _ in range(3)]
    with contextlib.ExitStack() as cleaning:
        cleaning.callback(node.kill)
        node.start()
        for sender in senders:
            cleaning.callback(sender.abandon)
            sender.start()
        for _ in range(2):
            wait_for_more(senders, 12)
            killed_receiver(node)
        wait_for_more(senders, 12)
        kill_listener(node)
        node.start()
        wait_for_more(senders, 12)
        for sender in senders:
            sender.finish(60)
        assert node.stop() == 0
    database = Database.open(node.data_dir)
    try:
        with database.read() as tx:
            uids = {uid for sender in senders for uid in sender.acknowledged}
            rows = [arrivals.find(tx, uid) for uid in uids]
    finally:
        database.close()
    assert all(row is not None and (node.data_dir / row.file).is_file() for row in rows)
    assert node.log.read_text().count("process died, restarting") >= 2
