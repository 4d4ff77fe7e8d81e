"""Imports that do without what a library loads only because it is installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Let nobody import the libraries ``names`` inside the block; those that are loaded stay.

    For libraries that take an ImportError for "not installed", and offer less then.
    """
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type] # None is how a module is hidden
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
