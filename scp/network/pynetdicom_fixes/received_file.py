"""The files of data sets that come in, each the property of its association until the archive has it.

pynetdicom would let the association's thread die of a full disk, and leave the files of all that it does not
answer: a data set that is cut off, a C-STORE without Message ID, stores sent ahead by a peer that hangs up.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import threading
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID
from pynetdicom import _config, dimse_messages
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import create_file_meta
from pynetdicom.dul import DULServiceProvider

from scp.network.pynetdicom_fixes import write_back
from scp.network.pynetdicom_fixes.streamed_digest import PixelDigest, StreamedDigest

log = structlog.get_logger(__name__)

NOWHERE: Final = "not-received.dcm"
"""The name of what could not be opened: there is never such a file."""
NO_UID: Final = UID("0.0")
"""Stands in the file's meta information where the command names no SOP Instance; the answer says so."""

WRITTEN_AHEAD: Final = 4_000_000
"""Bytes after which the disk begins with what has come of a data set."""

_lock = threading.Lock()
_files: dict[Association, list[ReceivedFile]] = {}
"""What each association has begun. It belongs to the process, as the library's switches do."""


class ReceivedFile:
    """The file of one data set, in ``folder``: what pynetdicom uses of a `tempfile.NamedTemporaryFile`.

    Where the library's own raises, its thread dies and the association with it. This one keeps the failure
    and swallows the rest of the data set, so that the C-STORE gets the status that says so.
    """

    _file: io.FileIO | None = None

    def __init__(self, folder: Path, *, suffix: str = "", **_options: object) -> None:
        _belongs_to_association(self)
        self.failure: OSError | None = None
        """Why the data set is not in the file; None while it is."""
        self.name = str(folder / NOWHERE)
        self._digest = StreamedDigest()
        self._size = 0
        self._ahead = 0
        """Bytes from the first on that the disk has begun with."""
        try:
            descriptor, name = tempfile.mkstemp(dir=folder, suffix=suffix)
        except OSError as error:
            self.failure = error
        else:
            self._file = io.FileIO(descriptor, "wb")
            self.name = name

    @property
    def file(self) -> ReceivedFile:
        """What pynetdicom flushes."""
        return self

    def write(self, data: bytes | memoryview) -> int:
        """Write ``data``, or swallow it where a write has failed; return its length in bytes."""
        if self._file is not None:
            try:
                _write_all(self._file, data)
            except OSError as error:
                self._fail(error)
            else:
                self._digest.update(data)
                self._size += len(data)
                if self._size - self._ahead >= WRITTEN_AHEAD:
                    write_back.begin(self._file.fileno(), self._ahead, self._size - self._ahead)
                    self._ahead = self._size
        return len(data)

    def flush(self) -> None:
        """Do nothing: what was written is with the operating system."""

    @property
    def pixel_digest(self) -> PixelDigest | None:
        """The digest of what looks like pixel data, once all is written; None where nothing does."""
        return None if self.failure is not None else self._digest.result()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # all was flushed before: a failure there is known already
                self._file.close()

    def __del__(self) -> None:
        """Close the file where pynetdicom has dropped it open: an association has ended within a data set."""
        self.close()

    def _fail(self, error: OSError) -> None:
        """Keep the first failure; remove the part of the data set, which only takes room.

        Its traceback goes: that would hold the bytes of the unit that could not be written.
        """
        self.failure = error.with_traceback(None)
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
    # the library has no name of its own for any of these
    setattr(dimse_messages, "NamedTemporaryFile", partial(ReceivedFile, folder))  # noqa: B010
    setattr(dimse_messages, "create_file_meta", _file_meta)  # noqa: B010
    # a C-STORE that names no instance is answered all the same: the listener says what is wrong with it
    required = tuple(keyword for keyword in C_STORE.REQUEST_KEYWORDS if keyword != "AffectedSOPInstanceUID")
    setattr(C_STORE, "REQUEST_KEYWORDS", required)  # noqa: B010


def failure(request: Any) -> OSError | None:  # noqa: ANN401 - pynetdicom's primitive keeps the file in private
    """Return why the data set of a C-STORE ``request`` could not be written, None where it was."""
    file = getattr(request, "_dataset_file", None)
    return file.failure if isinstance(file, ReceivedFile) else None


def pixel_digest(request: Any) -> PixelDigest | None:  # noqa: ANN401 - as above
    """Return the digest that was made while the data set of a C-STORE ``request`` came in, if any."""
    file = getattr(request, "_dataset_file", None)
    return file.pixel_digest if isinstance(file, ReceivedFile) else None


def in_progress(association: Association) -> ReceivedFile | None:
    """Return the file of the data set that is coming in over ``association``."""
    file = getattr(association.dimse.message, "_data_set_file", None)
    return file if isinstance(file, ReceivedFile) else None


def remove_unfinished(association: Association) -> bool:
    """Remove the file of the data set that ``association`` ended in the middle of; tell if there was any."""
    message = association.dimse.message
    if message is None or getattr(message, "_data_set_file", None) is None:
        return False
    _discard(message._data_set_file)  # noqa: SLF001 - the library has no other name for it
    message._data_set_file = None  # noqa: SLF001
    return True


def remove_left() -> int:
    """Remove the files of associations that have ended: nobody will answer them. Returns how many there were.

    An association has ended when both of its threads have: a connection may end while the last image is
    being kept.
    """
    with _lock:
        ended = [association for association in _files if not _lives(association)]
        left = [file for association in ended for file in _files.pop(association)]
    left = [file for file in left if Path(file.name).exists()]
    for file in left:
        _discard(file)
    if left:
        log.warning("data sets without a whole C-STORE were removed", files=len(left))
    return len(left)


def _write_all(file: io.FileIO, data: bytes | memoryview) -> None:
    """Write all of ``data``: the system may take a part of it."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _lives(association: Association) -> bool:
    return association.is_alive() or association.dul.is_alive()


def _belongs_to_association(file: ReceivedFile) -> None:
    """Note whose ``file`` is: the library opens it in the thread of the association's upper layer.

    Raises ValueError where another data set is under way there: a command has come in the middle of it.
    """
    upper_layer = threading.current_thread()
    if not isinstance(upper_layer, DULServiceProvider):
        return
    association = upper_layer.assoc
    message = association.dimse.message
    if message is not None and message._data_set_file is not None:  # noqa: SLF001 - as above
        raise ValueError("a command in the middle of a data set")
    with _lock:
        waiting = [earlier for earlier in _files.get(association, ()) if Path(earlier.name).exists()]
        _files[association] = [*waiting, file]


def _file_meta(*, sop_instance_uid: UID | None, **more: Any) -> FileMetaDataset:  # noqa: ANN401 - the library's
    """Return the meta information for a file; an instance without UID has `NO_UID`."""
    return create_file_meta(sop_instance_uid=sop_instance_uid or NO_UID, **more)


def _discard(file: Any) -> None:  # noqa: ANN401 - a `ReceivedFile`, which the library's type does not know
    """Close and remove ``file``, if the disk lets it."""
    file.close()
    try:
        Path(file.name).unlink(missing_ok=True)
    except OSError as error:
        log.warning("unfinished data set could not be removed, the next start does", reason=error.strerror)
