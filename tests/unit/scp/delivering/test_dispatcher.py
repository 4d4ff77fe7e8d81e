"""The dispatcher with scripted senders: whom it serves, when, and what becomes of a fault. No sleeps."""

import threading
from types import SimpleNamespace

import pytest

from scp import retry_policy
from scp.delivering.dispatcher import Dispatcher
from storage.database.engine import Database
from storage.errors import DatabaseError
from storage.files.folder import FolderArchive
from tests.support.owed import NOW, owe

PATIENCE = 30
"""Seconds after which a test gives up; none waits so long where all is well."""


class ScriptedSender:
    """Stands for the sender; ``on_deliver`` says what happens, and every call is written down."""

    def __init__(self):
        self.calls = []
        self.called = threading.Semaphore(0)
        self.postponed = []
        self.on_deliver = lambda _destination: 0

    def deliver(self, destination):
        self.calls.append(destination)
        self.called.release()
        return self.on_deliver(destination)

    def postpone(self, destination):
        self.postponed.append(destination)


class ScriptedRequester:
    """Stands for the commitment requester."""

    def __init__(self):
        self.calls = []
        self.called = threading.Semaphore(0)
        self.postponed = threading.Event()
        self.on_ask = lambda _destination: None

    def ask(self, destination):
        self.calls.append(destination)
        self.called.release()
        self.on_ask(destination)

    def postpone(self, _destination):
        self.postponed.set()


NOTHING_TO_TELL = SimpleNamespace(tell=lambda _: None, postpone=lambda _: None)


@pytest.fixture
def never_by_itself(monkeypatch):
    """Only `Dispatcher.wake` lets the dispatcher look again."""
    monkeypatch.setattr(retry_policy, "OUTBOX_SECONDS", 3600)


@pytest.fixture
def database(tmp_path):
    opened = Database.open(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def archive(tmp_path):
    return FolderArchive(tmp_path)


@pytest.fixture
def sender():
    return ScriptedSender()


@pytest.fixture
def requester():
    return ScriptedRequester()


@pytest.fixture
def dispatcher(database, sender, requester, never_by_itself):
    new_dispatcher = Dispatcher(
        database=database,
        sender=sender,
        commitment_requester=requester,
        commitment_answers=NOTHING_TO_TELL,
        now=lambda: NOW,
    )
    yield new_dispatcher
    new_dispatcher.stop(PATIENCE)


def test_each_destination_that_is_owed_something_is_served_and_then_asked(
    database, archive, sender, requester, dispatcher
):
    owe(database, archive, destinations=("PACS", "OTHER"))
    dispatcher.start()
    for _ in range(2):
        assert requester.called.acquire(timeout=PATIENCE)
    assert sorted(sender.calls) == sorted(requester.calls) == ["OTHER", "PACS"]


def test_nothing_is_begun_where_nothing_is_owed_until_it_is_woken(database, archive, sender, dispatcher):
    dispatcher.start()
    assert not sender.called.acquire(blocking=False)
    owe(database, archive)
    dispatcher.wake()
    assert sender.called.acquire(timeout=PATIENCE)
    assert set(sender.calls) == {"PACS"}


def test_what_falls_due_is_found_without_being_woken(database, archive, sender, dispatcher, monkeypatch):
    monkeypatch.setattr(retry_policy, "OUTBOX_SECONDS", 0.01)
    dispatcher.start()
    owe(database, archive)
    assert sender.called.acquire(timeout=PATIENCE)


def test_destination_that_hangs_delays_no_other_and_is_not_begun_twice(
    database, archive, sender, requester, dispatcher
):
    go_on = threading.Event()
    sender.on_deliver = lambda destination: 0 if destination == "OTHER" else (go_on.wait(PATIENCE), 0)[1]
    owe(database, archive, destinations=("PACS", "OTHER"))
    dispatcher.start()
    assert requester.called.acquire(timeout=PATIENCE)
    assert requester.calls == ["OTHER"]
    dispatcher._threads["OTHER"].join(PATIENCE)
    dispatcher.wake()
    assert requester.called.acquire(timeout=PATIENCE), "the other one is served again meanwhile"
    assert requester.calls == ["OTHER", "OTHER"]
    assert sender.calls.count("PACS") == 1
    go_on.set()


def test_delivery_goes_on_while_the_peer_keeps_what_it_is_sent(
    database, archive, sender, requester, dispatcher
):
    numbers = iter((2, 1, 0))
    sender.on_deliver = lambda _: next(numbers)
    owe(database, archive)
    dispatcher.start()
    assert requester.called.acquire(timeout=PATIENCE)
    assert sender.calls == ["PACS"] * 3


def test_fault_of_the_node_is_put_off_and_the_commitment_asked_for_all_the_same(
    database, archive, sender, requester, dispatcher
):
    sender.on_deliver = lambda _: 1 / 0
    owe(database, archive)
    dispatcher.start()
    assert requester.called.acquire(timeout=PATIENCE)
    assert sender.postponed == ["PACS"]


def test_fault_in_the_request_for_commitment_is_put_off(database, archive, requester, dispatcher):
    requester.on_ask = lambda _: 1 / 0
    owe(database, archive)
    dispatcher.start()
    assert requester.postponed.wait(PATIENCE)


def test_database_that_fails_ends_nothing(database, archive, sender, requester, never_by_itself):
    failed = threading.Event()

    def read():
        if failed.is_set():
            return database.read()
        failed.set()
        raise DatabaseError("locked")

    owe(database, archive)
    dispatcher = Dispatcher(
        database=SimpleNamespace(read=read),
        sender=sender,
        commitment_requester=requester,
        commitment_answers=NOTHING_TO_TELL,
        now=lambda: NOW,
    )
    dispatcher.start()
    assert failed.wait(PATIENCE)
    dispatcher.wake()
    assert sender.called.acquire(timeout=PATIENCE)
    assert dispatcher.stop(PATIENCE)


def test_stop_tells_whether_what_was_under_way_has_ended(database, archive, sender, requester, dispatcher):
    go_on = threading.Event()
    sender.on_deliver = lambda _: (go_on.wait(PATIENCE), 1)[1]
    owe(database, archive)
    dispatcher.start()
    assert sender.called.acquire(timeout=PATIENCE)
    assert not dispatcher.stop(0)
    go_on.set()
    assert dispatcher.stop(PATIENCE)
    assert sender.calls == ["PACS"], "nothing new is begun"
    assert requester.calls == []
