"""What this node mends in pynetdicom, each with the release that makes it unnecessary. Written for 3.0.4.

Behaviour of the library                           Mended by                       Known upstream as
-------------------------------------------------  ------------------------------  -------------------------
A disk that fails ends the association's thread,   `received_file.ReceivedFile`    no issue; chunked files
the sender gets no answer                                                          came with pull request 526
Files of unfinished data sets stay for ever        `received_file.remove_unfinished` poll in the review of
                                                   and `.remove_left`              pull request 526, open
A C-STORE without SOP Instance UID has no answer   `received_file.receive_in_chunks` no issue
A PDU of any claimed length is read into memory,   `pdu_reader.UnitReader`         no issue
each byte has a timeout of its own, and what
cannot be read ends a thread
Connections with a descriptor above 1023 are       `poll_connections`              no issue
taken for closed, for select(2)
Timers run by the wall clock: setting it ends      `MonotonicTimer`,               no issue
associations, or keeps dead ones                   `use_monotonic_timers`
A connection that we open has no timeout: a peer   `limit_silence`                 issue 616: the timeout is
that stops reading holds it for ever                                               taken away on purpose

No release makes any of them unnecessary yet. ``tests/unit/scp/network/test_pynetdicom_fixes.py`` shows each
behaviour in the bare library: the test that fails with a new release names the mend that can go.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Final

from pynetdicom import transport
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.timer import Timer

TIMERS: Final = ("_idle_timer", "artim_timer")
"""The timers of an association's upper layer: for the network timeout and ARTIM (PS3.8 9.1.5)."""


def poll_connections() -> None:
    """Let pynetdicom ask by poll(2) whether a connection has something to read, whatever its descriptor."""
    setattr(transport, "select", SimpleNamespace(select=_poll))  # noqa: B010 - mypy forbids to assign a module


def _poll(
    readable: Sequence[Any], _: Sequence[Any], __: Sequence[Any], seconds: float
) -> tuple[list[Any], ...]:
    """Do what `select.select` does with one connection to read."""
    (connection,) = readable
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return ([connection] if poll.poll(seconds * 1000) else []), [], []


class MonotonicTimer(Timer):
    """A timer that runs by the monotonic clock, which nobody sets.

    The library's runs by the wall clock, which people and NTP set: set ahead by an hour, it ends every
    association under way as idle; set back by an hour, it keeps silent ones for an hour more.
    """

    def start(self) -> None:
        """Start anew."""
        self._start_time = time.monotonic()
        self._end_time = None

    def stop(self) -> None:
        """Stop."""
        self._end_time = time.monotonic()

    @property
    def remaining(self) -> float:
        """Seconds until the timer expires, negative afterwards; 1 where it never does."""
        if self.timeout is None:
            return 1
        if self._start_time is None:
            return self.timeout
        until = time.monotonic() if self._end_time is None else self._end_time
        return self.timeout - (until - self._start_time)


def use_monotonic_timers(event: Event) -> None:
    """Give the association of an EVT_CONN_OPEN monotonic timers, before its first message."""
    upper_layer = event.assoc.dul
    for name in TIMERS:
        replaced: Timer = getattr(upper_layer, name)
        timer = MonotonicTimer(replaced.timeout)
        if replaced._start_time is not None:  # noqa: SLF001 - the library does not tell whether one runs
            timer.start()
        setattr(upper_layer, name, timer)


def limit_silence(association: Association, seconds: float) -> None:
    """Let the peer take or give nothing for so many ``seconds`` in a message; then the connection ends.

    Without this, a peer that stops reading holds the association for ever: an abort waits behind the bytes
    that the peer does not take.
    """
    wrapper = association.dul.socket
    if wrapper is not None and wrapper.socket is not None:
        with contextlib.suppress(OSError):  # closed meanwhile
            wrapper.socket.settimeout(seconds)


def hang_up(association: Association) -> None:
    """End the connection of ``association``, whatever its threads are doing."""
    wrapper = association.dul.socket
    if wrapper is not None and wrapper.socket is not None:
        with contextlib.suppress(OSError):  # it may have gone already
            socket.socket.shutdown(wrapper.socket, socket.SHUT_RDWR)
