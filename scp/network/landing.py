"""Where a data set lands while it is received: a disk that fails costs the sender an answer, nothing more.

pynetdicom writes what comes into a temporary file, and where that raises, its thread dies and the association
with it: the sender learns nothing. Here the failure is kept, the rest of the data set is heard out, and the
C-STORE gets the status that says so.
"""

from __future__ import annotations

import contextlib
import tempfile
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

from pynetdicom import _config, dimse_messages

NOWHERE: Final = "not-received.dcm"
"""The name of what could not be opened: there is never such a file."""


class Landing:
    """The file of one data set, in ``folder``: what pynetdicom uses of a `tempfile.NamedTemporaryFile`."""

    def __init__(self, folder: Path, *, suffix: str = "", **_how: object) -> None:
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
    def file(self) -> Landing:
        """What pynetdicom flushes."""
        return self

    def write(self, data: bytes) -> int:
        """Write ``data``, or swallow it where a write has failed."""
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
            with contextlib.suppress(OSError):  # everything was flushed: nothing is lost that was not told
                self._file.close()

    def _fail(self, error: OSError) -> None:
        """Take note of the first failure; give the room back that a part of a data set takes."""
        self.failure = error
        self.close()
        self._file = None
        with contextlib.suppress(OSError):  # a disk that takes no writes removes nothing: the next start does
            Path(self.name).unlink()


def receive_in_chunks(folder: Path) -> None:
    """Have pynetdicom write data sets to ``folder`` as they come, never holding an image in memory.

    The switches are the library's own and belong to the process: one process, one listener.
    """
    _config.STORE_RECV_CHUNKED_DATASET = True
    _config.LOG_HANDLER_LEVEL = "none"
    setattr(dimse_messages, "NamedTemporaryFile", partial(Landing, folder))  # noqa: B010 - no name of its own for it


def failure(request: Any) -> OSError | None:  # noqa: ANN401 - pynetdicom's primitive keeps the file in private
    """Return why the data set of a C-STORE ``request`` could not be written down, None where it was."""
    landed = getattr(request, "_dataset_file", None)
    return landed.failure if isinstance(landed, Landing) else None
