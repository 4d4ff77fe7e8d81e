"""kill -9 at random moments while two senders store without a pause: nothing acknowledged is lost.

``make chaos`` runs the long form. A failure is repeated with its seed,
as far as the timing of processes can be.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter

import pytest

from storage.database.engine import Database
from tests.support import audit, kills, model_folder
from tests.support.node_process import ROOT, NodeProcess, peer
from tests.support.remembering_archive import RememberingArchive
from tests.support.steady_sender import SteadySender

ROUNDS = int(os.environ.get("SECONDREAD_CHAOS_ROUNDS", "4"))
SEED = int(os.environ.get("SECONDREAD_CHAOS_SEED", "1"))
SENDERS = ("MODALITY1", "MODALITY2")
PAUSE = 0.8
"""Seconds between two images of one sender: what arrives must not outrun two loaded cores."""
KILLS = {"worker": kills.kill_worker, "listener": kills.kill_listener, "group": kills.kill_group}
KINDS = (*KILLS, "starting")
AT_WORK = 0.35
"""How many of the kills wait for a worker that works; it takes seconds to load its network."""
READY, LISTENING = "worker ready", "node listening"

pytestmark = [
    pytest.mark.timeout(600 + 60 * ROUNDS),
    # pynetdicom's threads die of connections that a kill cuts off
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


@pytest.fixture
def node(tmp_path):
    """A node with a small network, not started, whose results go to the PACS of `pacs`."""
    model = model_folder.make(tmp_path / "model")
    with RememberingArchive() as pacs:
        peers = peer("PACS", pacs.port)
        for title in SENDERS:
            peers += f'[[peers]]\nae_title = "{title}"\nresults_to = ["PACS"]\n'
        extra = f'[model]\nname = "{model}"\n[worker]\nprocesses = 2\n'
        node_process = NodeProcess(tmp_path, peers=peers, extra=extra)
        node_process.pacs = pacs
        yield node_process
        kills.kill_what_is_left(node_process)


@pytest.fixture
def senders(node):
    """Two modalities, not started; they end before the node does."""
    steady_senders = [SteadySender(node.port, title, pause=PAUSE) for title in SENDERS]
    yield steady_senders
    for sender in steady_senders:
        sender.abandon()


def disturb(node, kind, chance):
    """Kill one part of ``node`` at a moment that ``chance`` chooses, and see to it that it runs again."""
    if kind == "starting":
        kills.kill_group(node)
        node.launch()
        time.sleep(chance.uniform(0, 2))
        kills.kill_group(node)
        node.start()
        return
    if chance.random() < AT_WORK:
        _wait_for_a_worker(node)
    time.sleep(chance.uniform(0, 1.5))
    KILLS[kind](node)
    if kind != "worker":
        node.start()


def _wait_for_a_worker(node, seconds=120):
    """Wait until a worker of the node's present life has loaded its network: kills meet jobs then."""
    deadline = time.monotonic() + seconds
    while READY not in node.log.read_text().rpartition(LISTENING)[2]:
        assert time.monotonic() < deadline, "no worker came to be"
        time.sleep(0.1)


def _settle(node, seconds=120):
    """Wait until nothing is left to do; bring back once what too many kills have parked. Returns how many."""
    parked = audit.wait_until_settled(node.data_dir, seconds)
    if parked:
        retry = [sys.executable, "-m", "scp", "--config", str(node.config), "retry", "--all"]
        subprocess.run(retry, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        assert audit.wait_until_settled(node.data_dir, seconds) == 0
    return parked


def _check_results(node, acknowledged):
    """Compare what the peer was sent with what the node has written down. Returns how many came twice."""
    database = Database.open(node.data_dir)
    try:
        assert database.integrity() == "ok"
        assert audit.analysed(database) >= acknowledged
        recorded = audit.sent(database)
    finally:
        database.close()
    came = node.pacs.by_uid()
    assert set(recorded) <= set(came), "an object is recorded as sent and never came"
    assert acknowledged <= node.pacs.named_by("OT"), "an image has no heatmap in the peer"
    assert acknowledged <= node.pacs.named_by("SR"), "an image is in no report in the peer"
    for uid, stores in came.items():
        assert len({stored.digest for stored in stores}) == 1, f"{uid} came again with other bytes"
        # without a record it was replaced by something newer before its 0x0000 could be written down
        assert uid not in recorded or stores[-1].at <= recorded[uid], f"{uid} came after a recorded 0x0000"
    return sum(len(stores) - 1 for stores in came.values())


def test_nothing_acknowledged_is_lost(node, senders, capsys):
    began = time.monotonic()
    chance = random.Random(SEED)  # noqa: S311 - moments, not secrets
    node.start()
    for sender in senders:
        sender.start()
    counts = Counter()
    kinds = KINDS * -(-ROUNDS // len(KINDS))  # each as often as the others, also in the short form
    for kind in chance.sample(kinds, ROUNDS):
        disturb(node, kind, chance)
        counts[kind] += 1
    for sender in senders:
        sender.finish(300)
    acknowledged = set().union(*(sender.acknowledged for sender in senders))
    parked = _settle(node)
    assert node.stop() == 0
    repeated = _check_results(node, acknowledged)
    assert audit.orphans(node.data_dir) == []
    figures = {
        "test": "kill",
        "seed": SEED,
        "rounds": dict(counts),
        "images_acknowledged": len(acknowledged),
        "stores_offered": sum(sender.offered for sender in senders),
        "acknowledged_lost": 0,
        "results_in_peer": len(node.pacs.by_uid()),
        "results_repeated_same_bytes": repeated,
        "jobs_parked_by_kills_and_retried": parked,
        "seconds": round(time.monotonic() - began),
    }
    with capsys.disabled():
        print(f"\n{json.dumps(figures)}")  # noqa: T201 - what docs/reliability.md quotes
