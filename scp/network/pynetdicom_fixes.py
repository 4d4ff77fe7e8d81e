"""What this node mends in pynetdicom, each with the release that makes it unnecessary. Written for 3.0.4.

Behaviour of the library                           Mended by                       Known upstream as
-------------------------------------------------  ------------------------------  -------------------------
A disk that fails ends the association's thread,   `ReceivedFile`,                 no issue; chunked files
the sender gets no answer                          `receive_in_chunks`             came with pull request 526
Files of unfinished data sets stay for ever        `remove_unfinished`,            asked in the review of
                                                   `remove_unserved`               pull request 526, open
A caller that leaves before its whole request has  `release_unrequested`           no issue
come holds a thread for the ACSE timeout
Timers run by the wall clock: setting it ends      `MonotonicTimer`,               no issue
associations, or keeps dead ones                   `use_monotonic_timers`
A connection that we open has no timeout: a peer   `limit_silence`                 issue 616: the timeout is
that stops reading holds it for ever                                               taken away on purpose

No release makes any of them unnecessary yet. ``tests/unit/scp/network/test_pynetdicom_fixes.py`` shows each
behaviour in the bare library: the test that fails with a new release names the mend that can go.
"""

from __future__ import annotations

import contextlib
import queue
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

import structlog
from pynetdicom import _config, dimse_messages
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.timer import Timer

log = structlog.get_logger(__name__)

NOWHERE: Final = "not-received.dcm"
"""The name of what could not be opened: there is never such a file."""

TIMERS: Final = ("_idle_timer", "artim_timer")
"""The timers of an association's upper layer: for the network timeout and ARTIM (PS3.8 9.1.5)."""


class ReceivedFile:
    """The file of one data set, in ``folder``: what pynetdicom uses of a `tempfile.NamedTemporaryFile`.

    Where the library's own raises, its thread dies and the association with it. This one keeps the failure
    and swallows the rest of the data set, so that the C-STORE gets the status that says so.
    """

    def __init__(self, folder: Path, *, suffix: str = "", **_options: object) -> None:
        self.failure: OSError | None = None
        """Why the data set is not in the file; None while it is."""
        self.name = str(folder / NOWHERE)
        self._file: IO[bytes] | None = None
        try:
            self._file = tempfile.NamedTemporaryFile(dir=folder, suffix=suffix, delete=False)  # noqa: SIM115
        except OSError as error:
            self.failure = error
        else:
            self.name = self._file.name

    @property
    def file(self) -> ReceivedFile:
        """What pynetdicom flushes."""
        return self

    def write(self, data: bytes) -> int:
        """Write ``data``, or swallow it where a write has failed; return its length in bytes."""
        if self._file is not None:
            try:
                self._file.write(data)
            except OSError as error:
                self._fail(error)
        return len(data)

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        if self._file is not None:
            try:
                self._file.flush()
            except OSError as error:
                self._fail(error)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # all was flushed before: a failure there is known already
                self._file.close()

    def _fail(self, error: OSError) -> None:
        """Keep the first failure; remove the part of the data set, which only takes room."""
        self.failure = error
        self.close()
        self._file = None
        with contextlib.suppress(OSError):  # a disk that takes no writes removes nothing: the next start does
            Path(self.name).unlink()


def receive_in_chunks(folder: Path) -> None:
    """Let pynetdicom write data sets to ``folder`` as they come, so that no image is held in memory.

    The switches are the library's own and belong to the process: one process, one listener.
    """
    _config.STORE_RECV_CHUNKED_DATASET = True
    _config.LOG_HANDLER_LEVEL = "none"
    setattr(dimse_messages, "NamedTemporaryFile", partial(ReceivedFile, folder))  # noqa: B010 - no name of its own for it


def failure(request: Any) -> OSError | None:  # noqa: ANN401 - pynetdicom's primitive keeps the file in private
    """Return why the data set of a C-STORE ``request`` could not be written, None where it was."""
    file = getattr(request, "_dataset_file", None)
    return file.failure if isinstance(file, ReceivedFile) else None


def remove_unfinished(association: Association) -> None:
    """Remove the file of the data set that was under way when ``association`` ended."""
    message = association.dimse.message
    if message is not None and getattr(message, "_data_set_file", None) is not None:
        _discard(message._data_set_file)  # noqa: SLF001 - the library has no other name for it
        message._data_set_file = None  # noqa: SLF001
        log.warning("association ended in the middle of a data set, its bytes were removed")


def remove_unserved(association: Association) -> None:
    """Remove the files of data sets that nobody will answer: the thread of ``association`` is dead."""
    remove_unfinished(association)
    while True:
        try:
            _, request = association.dimse.msg_queue.get_nowait()
        except queue.Empty:
            return
        file = getattr(request, "_dataset_file", None)
        if file is not None:
            _discard(file)


def _discard(file: Any) -> None:  # noqa: ANN401 - a `ReceivedFile`, which the library's type does not know
    """Close and remove ``file``, if the disk lets it."""
    file.close()
    try:
        Path(file.name).unlink(missing_ok=True)
    except OSError as error:
        log.warning("unfinished data set could not be removed, the next start does", reason=error.strerror)


def release_unrequested(association: Association) -> None:
    """Let the thread of ``association`` end, where the peer has gone before all of its request was there.

    The library lets it wait for the request (Sta2, PS3.8 9.2.1) for the whole ACSE timeout.
    """
    if association.dul.state_machine.current_state == "Sta2":
        # None is what the library's receiver takes for "nothing came", though its queue is not declared so
        no_request: Any = None
        association.dul.to_user_queue.put(no_request)


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
