"""Who sends to a machine is told to the others, and nobody who sends waits for a server that has gone."""

import threading
from datetime import UTC, datetime
from types import SimpleNamespace

from scp.roles.presence import Presence
from storage.errors import DatabaseError


def test_who_waits_while_the_first_try_fails_does_not_try_as_well():
    began, over = threading.Event(), threading.Event()
    tries = []

    def check_place():
        tries.append(1)
        began.set()
        over.wait(10)
        raise DatabaseError("the server is out of reach")

    presence = Presence(SimpleNamespace(now=lambda: datetime.now(UTC), check_place=check_place), "receive")
    callers = [threading.Thread(target=presence.tell_if_possible) for _ in range(5)]
    for caller in callers:
        caller.start()
    assert began.wait(10)
    over.set()
    for caller in callers:
        caller.join()
    assert len(tries) == 1


def test_where_no_sign_of_life_can_be_given_only_its_own_thread_tries_again():
    tried_by = []

    def check_place():
        tried_by.append(threading.current_thread().name)
        raise DatabaseError("the server is out of reach")

    database = SimpleNamespace(now=lambda: datetime.now(UTC), check_place=check_place)
    presence = Presence(database, "receive")
    for _ in range(3):
        presence.tell_if_possible()
    assert len(tried_by) == 1
    presence._thread = thread = threading.Thread(target=presence.tell_if_possible, name="presence")
    thread.start()
    thread.join()
    assert tried_by[1:] == ["presence"]
