"""Files of ``[tls]`` that are renewed while the node runs: the next connection is answered with them."""

from __future__ import annotations

import ssl
import threading
from pathlib import Path

import structlog

from scp.configuration.tls import TLS
from scp.network import tls

log = structlog.get_logger(__name__)

Stamp = tuple[int, int, int] | None
"""Time of change, size and number of a file; None where there is none."""


class Renewal:
    """How callers are answered over TLS, by the files as they are now. Safe for use from many threads.

    Raises tls.FilesError where they are of no use from the start.
    """

    def __init__(self, settings: TLS) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._used = self._stamps()
        self._context = tls.answerer(settings)

    def current(self) -> ssl.SSLContext:
        """Return the context for one more connection.

        Files are looked at, and read again only if one has changed. Where they do not fit (yet: they are
        replaced one after the other), those before stay in use.
        """
        with self._lock:
            # taken before the files are read: what changes meanwhile is seen the next time
            stamps = self._stamps()
            if stamps != self._used:
                self._used = stamps
                self._read_again()
            return self._context

    def _read_again(self) -> None:
        try:
            self._context = tls.answerer(self._settings)
        except (tls.FilesError, OSError) as error:
            reason = str(error)
            log.error("the files of [tls] have changed and are of no use, those before stay", reason=reason)  # noqa: TRY400 - a sentence
        else:
            log.info("the files of [tls] have changed, the new ones are used from now on")

    def _stamps(self) -> tuple[Stamp, ...]:
        return tuple(_stamp(path) for path in self._settings.files.values() if path is not None)


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
