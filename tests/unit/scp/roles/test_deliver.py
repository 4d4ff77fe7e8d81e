"""The role of who delivers, with a real server and a real peer: a term that is over does nothing more."""

import contextlib
import threading
import time

import pytest

from scp.auditing.trail import NO_TRAIL
from scp.configuration.sections import Node, Peer
from scp.configuration.settings import Settings
from scp.roles import deliver
from scp.roles.bell import Bell
from scp.roles.deliver import Deliver
from scp.roles.presence import Presence
from scp.roles.surroundings import Surroundings
from storage.database.engine import Database
from storage.database.postgresql.backend import Server
from storage.database.postgresql.duty import DUTY
from storage.errors import PlaceTaken
from storage.files.folder import FolderArchive
from tests.support import postgresql
from tests.support.archive_scp import ArchiveSCP
from tests.support.owed import owe

PATIENCE = 30
CUT = "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND objid ="


@pytest.fixture
def url():
    """A database of this test's own, without rows."""
    yield postgresql.shared().create("role", template=postgresql.template())
    postgresql.shared().execute("DROP DATABASE role WITH (FORCE)")


@pytest.fixture
def database(url, tmp_path):
    with contextlib.closing(Database.open(tmp_path, url=url)) as opened:
        yield opened


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(deliver, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(deliver, "HELD_SECONDS", 0.01)
    monkeypatch.setattr(deliver, "STOP_SECONDS", 0.01)


@contextlib.contextmanager
def delivering(database, data_dir, *peers):
    settings = Settings(node=Node(data_dir=data_dir, role="deliver"), peers=peers)
    place = Surroundings(
        settings=settings,
        database=database,
        archive=FolderArchive(data_dir),
        presence=Presence(database, "deliver"),
        bell=Bell(database.server),
    )
    role = Deliver(place, NO_TRAIL)
    role.start()
    try:
        yield role
    finally:
        role.stop(PATIENCE)


def end_session_of_the_duty():
    postgresql.shared().execute(f"{CUT} {DUTY}")


def test_term_before_sends_nothing_more_once_the_duty_has_come_back(database, tmp_path, at_once):
    requests = threading.Semaphore(0)
    answers = [threading.Event(), threading.Event()]
    to_wait_for = iter(answers)
    stores = []

    def status(data_set):
        stores.append(data_set.SOPInstanceUID)
        answer = next(to_wait_for, None)
        requests.release()
        assert answer is None or answer.wait(PATIENCE)
        return 0x0000

    with ArchiveSCP("PACS") as pacs:
        pacs.status_for = status
        first, _ = owe(database, FolderArchive(tmp_path))
        with delivering(database, tmp_path, Peer(ae_title="PACS", host="127.0.0.1", port=pacs.port)):
            assert requests.acquire(timeout=PATIENCE)
            before = next(thread for thread in threading.enumerate() if thread.name == "deliver-PACS")
            end_session_of_the_duty()
            assert requests.acquire(timeout=PATIENCE)
            answers[0].set()
            before.join(PATIENCE)
            assert stores == [first, first]
            answers[1].set()


def test_who_has_lost_the_place_to_a_node_alone_leaves_the_duty_and_takes_it_no_more(
    database, tmp_path, at_once, monkeypatch
):
    place_lost = threading.Event()

    def check_place(*_, **__):
        if place_lost.is_set():
            raise PlaceTaken("another node")

    monkeypatch.setattr(Server, "check_place", check_place)
    with delivering(database, tmp_path) as role:
        assert role._on_duty.wait(PATIENCE)
        place_lost.set()
        second, deadline = database.server.duty(), time.monotonic() + PATIENCE
        while not second.take():
            assert time.monotonic() < deadline
            time.sleep(0.05)  # nothing tells when a term has ended
        assert not role._on_duty.is_set()
        second.release()
        time.sleep(0.3)  # several looks, by `at_once`
        assert not role._on_duty.is_set()
