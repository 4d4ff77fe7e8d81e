"""What a log line may say: nobody's name, birth date or number is ever logged.

Fields with a telling name or a value out of a data set are withheld, and all exceptions but our own and the
machine's lose their words. Text from outside cannot forge lines or colours.
"""

from __future__ import annotations

import re
import sys
import textwrap
import traceback
from collections.abc import Mapping
from typing import Any, Final

from structlog.typing import EventDict, WrappedLogger

from scp.configuration.sections import PACKAGES

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

QUOTING: Final = frozenset({"pydicom", "pynetdicom", "highdicom"})
"""Packages whose warnings, and events about exceptions, may quote values of a data set."""


def trace(error: BaseException) -> str:
    """Return the traceback of ``error`` and of what led to it, without words that may quote a data set."""
    chain: list[BaseException] = []
    step: BaseException | None = error
    while step is not None and step not in chain:
        chain.append(step)
        step = step.__cause__ or (None if step.__suppress_context__ else step.__context__)
    return "\nwhich led to:\n".join(_one_trace(error) for error in reversed(chain))


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


def tell_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
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


def withhold(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
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


def one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
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
