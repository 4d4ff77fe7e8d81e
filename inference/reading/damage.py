"""Whose fault it is that a file cannot be read: the file's, for ever, or the machine's, for now.

A damaged file is a finding of its image. A disk that fails, too many open files or too little memory say
nothing about the image: they go through to the caller, who tries again.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from inference.errors import Failed
from inference.reading.attributes import UNREADABLE

_CONTENT: Final = (*UNREADABLE, RuntimeError, SyntaxError, zlib.error)
"""What pydicom, Pillow and the plugins of both raise for damaged content."""

_OF_RUST: Final = "pyo3_runtime"
"""Where the panics of libraries in Rust come from: an index out of bounds in a damaged stream, of RLE for
example. Their class is no Exception, and no module has it to import."""

HEADER: Final = "the DICOM header could not be read: the file is damaged or cut short"


@contextmanager
def told_as(words: str) -> Iterator[None]:
    """Raise Failed with ``words`` for damaged content; let OSError of the machine and MemoryError through.

    pydicom ("No tag to read") and Pillow ("image file is truncated") raise OSError for content too: without
    a number, which every error of the operating system has.
    """
    try:
        yield
    except _CONTENT as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise Failed(words) from None
    except BaseException as error:
        if type(error).__module__ != _OF_RUST:
            raise
        raise Failed(words) from None
