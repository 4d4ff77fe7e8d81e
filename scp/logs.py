"""Logging: one event a line with fields, to standard error, for people or as JSON. Configured once.

Nobody's name, birth date or number is ever logged. Three things see to that, besides the care of whoever
writes a log line: each line passes `scp.log_privacy`, warnings of DICOM libraries lose their words, and
libraries that print data sets are kept quiet. What nobody catches goes the same way.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, TextIO

import structlog
from structlog.typing import Processor

from scp import log_privacy
from scp.configuration.sections import PACKAGES, Log

QUIET: Final[Mapping[str, int]] = {
    "apscheduler": logging.ERROR,
    "botocore": logging.ERROR,
    "pynetdicom": logging.WARNING,
    "pynetdicom.utils": logging.CRITICAL + 1,
    "pynetdicom.fsm": logging.CRITICAL + 1,
    "pynetdicom.dimse": logging.CRITICAL + 1,
    "pydicom": logging.CRITICAL + 1,
    "dicomweb_client": logging.CRITICAL + 1,
    "python_multipart": logging.CRITICAL + 1,
    "retrying": logging.CRITICAL + 1,
    "uvicorn": logging.ERROR,
    "urllib3": logging.CRITICAL + 1,
}
"""Libraries that log data sets (pynetdicom below WARNING) or values and queries (most others always), what
`pdu_reader` and `scp.web.entrance` say in one line, and that a tick is left out while the one before it
lasts."""


def configure(log: Log, stream: TextIO | None = None) -> None:
    """Send our events and those of libraries to ``stream`` (standard error) as ``[log]`` says."""
    target = sys.stderr if stream is None else stream
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        log_privacy.tell_exception,
        log_privacy.withhold,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = _StandardError() if stream is None else logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(log, colours=target.isatty()),
            ],
        )
    )
    # a level alone would not do: pydicom sets its logger's own again when it is imported after this
    handler.addFilter(_speaks_up)
    _route(handler, log.level.upper())


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is now: a progress bar takes its place, and lines go above it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        """Standard error of now."""
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        """Leave it as it is: nobody else's stream is wanted here."""


def _route(handler: logging.Handler, level: str) -> None:
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for package in PACKAGES:
        logging.getLogger(package).setLevel(level)
    for library, least in QUIET.items():
        logging.getLogger(library).setLevel(least)
    warnings.showwarning = _log_warning
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def _speaks_up(record: logging.LogRecord) -> bool:
    """Tell whether ``record`` may be written: it is ours, or of a library that is not kept quiet."""
    return not any(
        record.levelno < least and f"{record.name}.".startswith(f"{library}.")
        for library, least in QUIET.items()
    )


def _renderers(log: Log, *, colours: bool) -> list[Processor]:
    if log.format == "json":
        return [structlog.processors.JSONRenderer(default=str)]
    return [
        log_privacy.one_line,
        structlog.dev.ConsoleRenderer(
            colors=colours, exception_formatter=structlog.dev.plain_traceback, sort_keys=False
        ),
    ]


def _log_warning(  # noqa: PLR0917 - the signature is Python's
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001 - not needed
    line: str | None = None,  # noqa: ARG001 - the same
) -> None:
    """Log a Python warning: where it arose and, unless it may quote a data set, what it says."""
    parts = Path(filename).parts
    words = {} if log_privacy.QUOTING.intersection(parts) else {"text": str(message)}
    place = "/".join(parts[-2:])
    structlog.get_logger(__name__).warning(
        "warning of a library", category=category.__name__, where=f"{place}:{lineno}", **words
    )


def _log_uncaught(kind: type[BaseException], error: BaseException, frames: TracebackType | None) -> None:
    """Log what ends the program; an interrupt from the keyboard is shown as Python does."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, frames)
        return
    structlog.get_logger(__name__).critical("uncaught exception", exc_info=error)


def _log_uncaught_in_thread(ended: threading.ExceptHookArgs) -> None:
    """Log what ends a thread; SystemExit is how a thread ends on purpose."""
    if not issubclass(ended.exc_type, SystemExit):
        structlog.get_logger(__name__).error(
            "uncaught exception in a thread",
            thread=None if ended.thread is None else ended.thread.name,
            kind=ended.exc_type.__qualname__,
            exc_info=ended.exc_value,
        )
