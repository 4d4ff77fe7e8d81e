"""Attributes of headers as they really come: what cannot be read counts as absent.

A header was admitted because of a handful of its attributes; a broken one among the others must not stop an
analysis, nor the report on the whole study.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pydicom import Dataset, config
from pydicom.datadict import dictionary_VR
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from inference.reading.damage import UNREADABLE_VALUE

_BEYOND_COUNTING: Final = 2**63
"""No image has so many of anything, and no column of a database keeps such a number."""


@contextmanager
def tolerant() -> Iterator[None]:
    """Read values of bad form without the warnings that pydicom gives for each.

    Not for use where several threads read: Python keeps its filters for warnings once a process.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_unchecked() -> None:
    """Let this process read values without a look at their form, which takes a third of the time of a UID.

    pydicom would warn of a bad one and give it all the same.
    """
    config.settings.reading_validation_mode = config.IGNORE


def value(header: Dataset, keyword: str) -> Any:  # noqa: ANN401 - as many kinds as there are VRs
    """Return the value of the attribute ``keyword``, None where it is absent or cannot be read.

    Items where there should be none cannot: whoever turned them into text would read what nobody has checked.
    """
    try:
        content = header.get(keyword)
    except UNREADABLE_VALUE:
        return None
    return None if isinstance(content, Sequence) and dictionary_VR(keyword) != "SQ" else content


def items(header: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of the sequence ``keyword``, none where it is absent or no sequence."""
    content = value(header, keyword)
    return list(content) if isinstance(content, Sequence) else []


def text(header: Dataset, keyword: str) -> str:
    """Return the attribute ``keyword`` as text, "" where it is absent or cannot be read.

    Without NUL, which no value may hold inside (PS3.5 6.2) and no text of PostgreSQL can.
    """
    return str(value(header, keyword) or "").replace("\0", "")


def number(header: Dataset, keyword: str) -> float | None:
    """Return the first number of the attribute ``keyword``, None where none is there that is finite.

    "NaN", a decimal comma and an empty value are no numbers, whatever stands behind them.
    """
    content = value(header, keyword)
    many = content if isinstance(content, MultiValue | list | tuple) else [content]
    try:
        first = float(str(many[0]))
    except (ValueError, IndexError):
        return None
    return first if math.isfinite(first) else None


def numbers(header: Dataset, keyword: str) -> tuple[float, float] | None:
    """Return the two numbers of the attribute ``keyword``, None where there are not two that are finite."""
    content = value(header, keyword)
    try:
        first, second = (float(str(part)) for part in content)
    except (ValueError, TypeError):
        return None
    return (first, second) if math.isfinite(first) and math.isfinite(second) else None


def count(header: Dataset, keyword: str, *, absent: int) -> int:
    """Return a number of things, the first of several; ``absent`` where there is none or it is no number."""
    content = value(header, keyword)
    first = next(iter(content), absent) if isinstance(content, MultiValue | list | tuple) else content
    try:
        number = int(first or absent)
    except (ValueError, TypeError, OverflowError):
        return absent
    return number if abs(number) < _BEYOND_COUNTING else absent
