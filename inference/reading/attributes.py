"""Attributes of headers as they really come: what cannot be read counts as absent.

A header was admitted because of a handful of its attributes; a broken one among the others must not stop an
analysis, nor the report on the whole study.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.errors import BytesLengthException
from pydicom.sequence import Sequence

UNREADABLE: Final = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    TypeError,
    ValueError,
    struct.error,
)
"""What pydicom raises for a value that its VR forbids. OSError is its "No tag to read" of a damaged sequence:
the bytes are in memory, nothing is read from a disk here."""


def value(header: Dataset, keyword: str) -> Any:  # noqa: ANN401 - as many kinds as there are VRs
    """Return the value of the attribute ``keyword``, None where it is absent or cannot be read.

    Items where there should be none cannot: whoever turned them into text would read what nobody has checked.
    """
    try:
        found = header.get(keyword)
    except UNREADABLE:
        return None
    return None if isinstance(found, Sequence) and dictionary_VR(keyword) != "SQ" else found


def items(header: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of the sequence ``keyword``, none where it is absent or no sequence."""
    found = value(header, keyword)
    return list(found) if isinstance(found, Sequence) else []
