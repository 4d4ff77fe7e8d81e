"""Peers that cut, hang and crawl: what is owed stays owed, and comes within one back-off of their return.

Peers that refuse, are down for a day or take one of two classes: tests/unit/scp/delivering/test_sender.py.
"""

import hashlib
import json
import os
import random
import threading
import types
from collections import defaultdict
from contextlib import ExitStack

import pytest

from scp.configuration.sections import Delivery, Peer
from scp.configuration.settings import Settings
from scp.delivering.dispatcher import Dispatcher
from scp.delivering.sender import Sender
from storage.database.engine import Database
from storage.files.folder import FolderArchive
from tests.support.archive_scp import ArchiveSCP
from tests.support.kinds import ResultKind
from tests.support.owed import NOW, next_due, owe, states
from tests.support.wicked_wire import WickedWire

CUTS = int(os.environ.get("SECONDREAD_CHAOS_ROUNDS", "20"))
SEED = int(os.environ.get("SECONDREAD_CHAOS_SEED", "1"))
TITLES = ("PACS", "OTHER")
LARGE = 1700
"""Side of pixels of 5.8 MB: more than the sockets between two peers hold."""

pytestmark = [
    pytest.mark.timeout(120 + 10 * CUTS),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


class Site:
    """A database that owes results, two archives, and a wicked wire before the first."""

    def __init__(self, folder, stack):
        self.time = NOW
        self.database = Database.open(folder)
        stack.callback(self.database.close)
        self.archive = FolderArchive(folder)
        self.pacs, self.second_pacs = (stack.enter_context(ArchiveSCP(title)) for title in TITLES)
        self.wire = stack.enter_context(WickedWire(self.pacs.port))

    def clock(self):
        return self.time

    def sender(self, answer_seconds=20):
        ports = dict(zip(TITLES, (self.wire.port, self.second_pacs.port), strict=True))
        settings = Settings(
            peers=tuple(Peer(ae_title=title, host="127.0.0.1", port=port) for title, port in ports.items()),
            delivery=Delivery(connect_timeout_seconds=20, answer_timeout_seconds=answer_seconds),
        )
        return Sender(
            settings=settings,
            database=self.database,
            archive=self.archive,
            now=self.clock,
            jitter=lambda: 0.0,
        )

    def wait_one_back_off(self):
        with self.database.read() as tx:
            self.time = max(self.time, next_due(tx) or self.time)


@pytest.fixture
def site(tmp_path):
    with ExitStack() as stack:
        yield Site(tmp_path, stack)


def digest(data_set):
    return hashlib.sha256(repr(data_set).encode() + data_set.get("PixelData", b"")).hexdigest()


def test_peer_that_closes_at_random_bytes_has_everything_within_one_back_off(site, capsys):
    chance = random.Random(SEED)  # noqa: S311 - places, not secrets
    uids = []
    for number in range(CUTS):
        new = owe(site.database, site.archive, study=f"cut {number}")
        uids += new
        if number % 2:
            site.wire.cut_after = chance.randrange(8000)
        else:
            site.wire.cut_answers_after = chance.randrange(700)
        site.sender().deliver("PACS")
        assert {state for state, _ in states(site.database).values()} <= {"OWED"}
        site.wire.cut_after = site.wire.cut_answers_after = None
        site.wait_one_back_off()
        site.sender().deliver("PACS")
        assert states(site.database) == {}
    came = defaultdict(list)
    for instance in site.pacs.received:
        came[instance.SOPInstanceUID].append(digest(instance))
    assert set(came) == set(uids)
    assert all(len(set(digests)) == 1 for digests in came.values())
    figures = {
        "test": "peer closes at random bytes",
        "seed": SEED,
        "cuts": CUTS,
        "objects": len(uids),
        "repeated_same_bytes": sum(len(digests) - 1 for digests in came.values()),
        "lost": 0,
    }
    with capsys.disabled():
        print(f"\n{json.dumps(figures)}")  # noqa: T201 - what docs/reliability.md quotes


def test_peer_that_hangs_in_mid_store_is_given_up_and_served_when_it_goes_on(site):
    report, heatmap = owe(site.database, site.archive)
    site.wire.stall_after = 500  # the association stands, the first object is under way
    assert site.sender(answer_seconds=4).deliver("PACS") == 0
    assert site.wire.stalled.is_set()
    assert {state for state, _ in states(site.database).values()} == {"OWED"}
    site.wire.stall_after = None
    site.wait_one_back_off()
    assert site.sender().deliver("PACS") == 2
    assert {instance.SOPInstanceUID for instance in site.pacs.received} >= {report, heatmap}
    assert states(site.database) == {}


def test_peer_that_hangs_in_a_store_larger_than_all_buffers_is_given_up(site):
    owe(site.database, site.archive, kinds=[ResultKind.SC], side=LARGE)
    site.wire.stall_after = 500
    delivering = threading.Thread(target=site.sender(answer_seconds=1).deliver, args=("PACS",), daemon=True)
    delivering.start()
    delivering.join(60)  # the object's size would allow for minutes
    assert not delivering.is_alive()
    assert {state for state, _ in states(site.database).values()} == {"OWED"}


def test_peer_that_hangs_delays_no_other(site):
    uids = set(owe(site.database, site.archive, destinations=TITLES))
    site.wire.stall_after = 0
    commitment_requester = types.SimpleNamespace(ask=lambda _: None, postpone=lambda _: None)
    dispatcher = Dispatcher(
        database=site.database,
        sender=site.sender(100),
        commitment_requester=commitment_requester,
        commitment_answers=types.SimpleNamespace(tell=lambda _: None, postpone=lambda _: None),
        now=site.clock,
    )
    dispatcher.start()
    try:
        site.second_pacs.wait_for(lambda objects: {instance.SOPInstanceUID for instance in objects} == uids)
        assert site.pacs.received == []
        site.wire.resume.set()
        site.pacs.wait_for(lambda objects: {instance.SOPInstanceUID for instance in objects} == uids)
    finally:
        dispatcher.stop(20)


def test_peer_as_slow_as_10_kilobytes_a_second_is_served_over_one_association(site):
    uids = owe(site.database, site.archive, side=140)
    site.wire.bytes_per_second = 10_000
    assert site.sender(answer_seconds=2).deliver("PACS") == 2, "4 seconds an object, of which 2 to answer"
    assert [instance.SOPInstanceUID for instance in site.pacs.received] == uids


def test_peer_that_takes_a_large_object_slowly_is_not_taken_for_one_that_hangs(site):
    owe(site.database, site.archive, kinds=[ResultKind.SC], side=LARGE)
    site.wire.bytes_per_second = 1_000_000
    assert site.sender(answer_seconds=3).deliver("PACS") == 1, "6 seconds, none without a byte"
