"""Puts logging back as it was: what a command configures ends with its test."""

import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from scp import logs


@contextmanager
def preserved() -> Iterator[None]:
    """Restore handlers, levels, the display of warnings, the hooks for what nobody caught, and structlog."""
    root = logging.getLogger()
    handlers, level, show = root.handlers, root.level, warnings.showwarning
    hooks = sys.excepthook, threading.excepthook
    levels = {name: logging.getLogger(name).level for name in (*logs.PACKAGES, *logs.QUIET)}
    try:
        yield
    finally:
        root.handlers = handlers
        root.setLevel(level)
        warnings.showwarning = show
        sys.excepthook, threading.excepthook = hooks
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)
        structlog.reset_defaults()
