"""``python -m scp`` and the console script ``secondread``."""

from __future__ import annotations

import gc
import os
import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line; return the exit code, or end at once where a command has only looked."""
    gc.disable()  # what is imported stays: the collector would look at it again and again
    # imported here: the processes that a node starts import this module, and need no command line
    from scp import cli  # noqa: PLC0415

    try:
        code = cli.main()
    except SystemExit as end:
        if gc.isenabled() or not isinstance(end.code, int):
            raise
        code = end.code
    if not gc.isenabled():
        _end_at_once(code)
    return code


def _end_at_once(code: int) -> None:
    """End a command that has nothing to put in order: to take its modules apart would be a fifth of it."""
    try:
        for stream in (sys.stderr, sys.stdout):
            if stream is not None:  # the caller has closed it
                stream.flush()
    except BrokenPipeError:
        code = code or 1
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
