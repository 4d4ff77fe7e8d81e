"""Logging: one event a line with fields, to standard error, for people or as JSON. Configured once.

Nobody's name, birth date or number is ever logged. Three things see to that, besides the care of whoever
writes a log line: fields with a telling name or a value out of a data set are withheld, warnings of DICOM
libraries and all exceptions but our own and the machine's lose their words, and libraries that print data
sets are kept quiet. What nobody catches goes the same way.
"""

from __future__ import annotations

import logging
import re
import sys
import textwrap
import threading
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from scp.configuration.sections import PACKAGES, Log

WITHHELD: Final = "withheld: it may identify a patient"

IDENTIFYING: Final = (
    "patient",
    "birth",
    "accession",
    "physician",
    "operator",
    "institution",
    "dataset",
    "studydate",
    "studytime",
    "studyid",
    "description",
)
"""A field whose name, in small letters and without underscores, contains one of these is withheld."""

UIDS: Final = frozenset({"sop_instance_uid", "study", "study_uid", "transaction_uid", "image"})
"""Fields that hold a UID (PS3.5 9.1): a sender may have put anything else there, which is withheld."""

_UID: Final = re.compile(r"[0-9.]{1,64}")

QUIET: Final[Mapping[str, int]] = {
    "apscheduler": logging.ERROR,
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

QUOTING: Final = frozenset({"pydicom", "pynetdicom", "highdicom"})
"""Packages whose warnings, and events about exceptions, may quote values of a data set."""


def configure(log: Log, stream: TextIO | None = None) -> None:
    """Send our events and those of libraries to ``stream`` (standard error) as ``[log]`` says."""
    target = sys.stderr if stream is None else stream
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _tell_exception,
        _withhold,
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


def trace(error: BaseException) -> str:
    """Return the traceback of ``error`` and of what led to it, without words that may quote a data set."""
    chain: list[BaseException] = []
    step: BaseException | None = error
    while step is not None and step not in chain:
        chain.append(step)
        step = step.__cause__ or (None if step.__suppress_context__ else step.__context__)
    return "\nwhich led to:\n".join(_one_trace(error) for error in reversed(chain))


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
        _one_line,
        structlog.dev.ConsoleRenderer(
            colors=colours, exception_formatter=structlog.dev.plain_traceback, sort_keys=False
        ),
    ]


def _one_trace(error: BaseException) -> str:
    frames = "Traceback:\n" + "".join(traceback.format_tb(error.__traceback__))
    words = "(its words are withheld: they may quote a data set)" if _may_quote(error) else str(error)
    return f"{frames}{type(error).__qualname__}: {words}"


def _may_quote(error: BaseException) -> bool:
    """Whether the words of ``error`` may be a header's: not those of our own errors and of the machine's.

    Python's own quote what they were given (``unconverted data remains: …``), whoever has called them. An
    OSError of the machine has a number; that of pydicom and Pillow about content has none.
    """
    if _package(type(error).__module__) in PACKAGES or isinstance(error, ImportError):
        return False
    return not (isinstance(error, OSError) and error.errno is not None)


def _package(module: str) -> str:
    return module.partition(".")[0]


def _tell_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace ``exc_info`` by its trace, frames without their local values.

    A DICOM library that logs an exception makes the exception's words its event: they go, too.
    """
    exc_info = event.pop("exc_info", None)
    if exc_info and _package(str(event.get("logger", ""))) in QUOTING:
        event["event"] = "exception in a library"
    error = (
        exc_info[1] if isinstance(exc_info, tuple) else sys.exc_info()[1] if exc_info is True else exc_info
    )
    if isinstance(error, BaseException):
        event["exception"] = trace(error)
    return event


def _withhold(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Withhold what identifies a patient, by the field's name or by the value's kind."""
    return {key: _harmless(key, value) for key, value in event.items()}


def _harmless(key: str, value: Any) -> Any:  # noqa: ANN401 - fields are of any kind
    plain = "".join(character for character in key.casefold() if character.isalnum())
    if any(word in plain for word in IDENTIFYING):
        return WITHHELD
    if key in UIDS and isinstance(value, str) and value and not _UID.fullmatch(value):
        return WITHHELD
    if isinstance(value, Mapping):
        return {inner: _harmless(str(inner), field) for inner, field in value.items()}
    if isinstance(value, BaseException):
        return WITHHELD if _may_quote(value) else f"{type(value).__qualname__}: {value}"
    if type(value).__module__.startswith("pydicom") and type(value).__name__ != "UID":
        return WITHHELD
    return value


def _one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Keep what comes from outside from forging lines or colours.

    Controls are escaped; a field of several lines, such as lines to copy, follows indented below.
    """
    line: EventDict = {}
    below: list[str] = []
    for key, value in event.items():
        text = _printable(value) if isinstance(value, str) else value
        if isinstance(text, str) and "\n" in text and key != "event":
            below.append(textwrap.indent(text if key == "exception" else f"{key}:\n{text}", "    "))
        else:
            line[key] = text.replace("\n", " ") if isinstance(text, str) else text
    return {**line, "exception": "\n".join(below)} if below else line


def _printable(text: str) -> str:
    return "".join(
        character if character.isprintable() or character == "\n" else repr(character)[1:-1]
        for character in text
    )


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
    words = {} if QUOTING.intersection(parts) else {"text": str(message)}
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
