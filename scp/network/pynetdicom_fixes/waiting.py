"""The two threads of an association wait for each other; the library's look a thousand times a second.

While data are exchanged, the upper layer waits for the peer as long as the association's own thread waits for
a message; else for what that thread sends. Each looks by itself after a moment, so that what wakes nobody,
such as an abort from outside, costs a moment and no more.
"""

from __future__ import annotations

import queue
import select
import ssl
import threading
import time
import weakref
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final

from pynetdicom import association as association_module
from pynetdicom import dul as dul_module
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.events import Event

from scp.network.pynetdicom_fixes.connections import connection_of
from scp.network.pynetdicom_fixes.units import DATA_TRANSFER

MOMENT: Final = 0.02
"""Seconds after which a thread looks by itself."""


@dataclass(eq=False, slots=True)
class _Turns:
    """Who of the two threads of an association waits for what."""

    to_send: threading.Event = field(default_factory=threading.Event)
    """Wakes the upper layer: there is something to send, or the other thread waits from now on."""
    came: threading.Event = field(default_factory=threading.Event)
    """Wakes the association's own thread: something has come."""
    awaits_message: bool = False
    """Whether the association's own thread waits."""


class _RingingCondition(threading.Condition):
    """The condition of a queue that is not empty, which wakes who does not wait at the queue itself."""

    def __init__(self, lock: Any, bell: threading.Event) -> None:  # noqa: ANN401 - Python's lock has no name
        super().__init__(lock)
        self._bell = bell

    def notify(self, n: int = 1) -> None:
        """Wake who waits at the queue, and ring."""
        super().notify(n)
        self._bell.set()


def _ringing_queue(bell: threading.Event) -> queue.Queue[Any]:
    """Return a queue that rings ``bell`` when something was put into it."""
    line: queue.Queue[Any] = queue.Queue()
    line.not_empty = _RingingCondition(line.mutex, bell)
    return line


_turns: weakref.WeakKeyDictionary[Association, _Turns] = weakref.WeakKeyDictionary()


def wait_instead_of_looking(event: Event) -> None:
    """Let the threads of the association of an EVT_CONN_OPEN wait, before its first message."""
    association, turns = event.assoc, _Turns()
    association.dul.to_provider_queue = _ringing_queue(turns.to_send)
    association.dul.to_user_queue = _ringing_queue(turns.came)
    association.dimse.msg_queue = _ringing_queue(turns.came)
    _turns[association] = turns
    # the library has no other name for its pauses, and no other thread is concerned
    for module, pause in ((dul_module, _pause_of_upper_layer), (association_module, _pause_of_association)):
        setattr(module, "time", SimpleNamespace(sleep=pause))  # noqa: B010 - mypy forbids to assign a module


def _pause_of_association(seconds: float) -> None:
    thread = threading.current_thread()
    turns = _turns.get(thread) if isinstance(thread, Association) and thread.is_established else None
    if turns is None:
        time.sleep(seconds)
        return
    turns.awaits_message = True
    turns.to_send.set()
    turns.came.wait(MOMENT)
    turns.awaits_message = False
    turns.came.clear()


def _pause_of_upper_layer(seconds: float) -> None:
    thread = threading.current_thread()
    association = thread.assoc if isinstance(thread, DULServiceProvider) else None
    turns = None if association is None else _turns.get(association)
    if association is None or turns is None or not _exchanges_data(association):
        time.sleep(seconds)
    elif _awaits_peer(association, turns):
        _await_peer(association, seconds)
    else:
        turns.to_send.wait(MOMENT)
        turns.to_send.clear()


def _exchanges_data(association: Association) -> bool:
    return association.dul.state_machine.current_state == DATA_TRANSFER


def _awaits_peer(association: Association, turns: _Turns) -> bool:
    """Tell whether the peer alone can go on. What has come is looked at first: it is taken afterwards."""
    nothing_came = association.dimse.msg_queue.empty() and association.dul.to_user_queue.empty()
    return nothing_came and turns.awaits_message and association.dul.to_provider_queue.empty()


def _await_peer(association: Association, seconds: float) -> None:
    wrapper = association.dul.socket
    connection = connection_of(association)
    if wrapper is None or connection is None or not wrapper._is_connected:  # noqa: SLF001 - the only way
        time.sleep(seconds)
        return
    if isinstance(connection, ssl.SSLSocket) and connection.pending():
        return
    poll = select.poll()
    try:
        poll.register(connection, select.POLLIN)
        poll.poll(MOMENT * 1000)
    except (OSError, ValueError):  # closed meanwhile
        time.sleep(seconds)
