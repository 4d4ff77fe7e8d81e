"""Files of data sets that will never be whole: pynetdicom leaves them where an association breaks."""

from __future__ import annotations

import queue
from pathlib import Path
from typing import Any

import structlog
from pynetdicom.association import Association

log = structlog.get_logger(__name__)


def remove_unfinished(association: Association) -> None:
    """Remove the file of the data set that was under way when ``association`` ended."""
    message = association.dimse.message
    if message is not None and getattr(message, "_data_set_file", None) is not None:
        _discard(message._data_set_file)  # noqa: SLF001 - the library has no other name for it
        message._data_set_file = None  # noqa: SLF001
        log.warning("association ended in the middle of a data set, its bytes were removed")


def remove_unserved(association: Association) -> None:
    """Remove the files of data sets that nobody will answer: the association's thread is dead."""
    remove_unfinished(association)
    while True:
        try:
            _, request = association.dimse.msg_queue.get_nowait()
        except queue.Empty:
            return
        file = getattr(request, "_dataset_file", None)
        if file is not None:
            _discard(file)


def release_unrequested(association: Association) -> None:
    """Let the thread of ``association`` end, where the peer has gone before all of its request was there.

    pynetdicom lets it wait for the request (Sta2, PS3.8 9.2.1) as long as the peer might have had to send it.
    """
    if association.dul.state_machine.current_state == "Sta2":
        # None is what the library's receiver takes for "nothing came", though its queue is not declared so
        nothing: Any = None
        association.dul.to_user_queue.put(nothing)


def _discard(file: Any) -> None:  # noqa: ANN401 - a `Landing`, which the library's type does not know
    """Close and remove ``file``, if the disk lets it."""
    file.close()
    try:
        Path(file.name).unlink(missing_ok=True)
    except OSError as error:
        log.warning("unfinished data set could not be removed, the next start does", reason=error.strerror)
