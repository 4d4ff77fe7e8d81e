"""What a running program prints, as it prints it: a test waits for a line instead of asking for it."""

import threading
import time
from pathlib import Path

PATIENCE = 200.0
"""Seconds for what a node does in the end: its workers give way to all others, other tests among them."""


class Lines:
    """Reads ``stream``, bytes, to its end in a thread of its own; keeps a ``copy`` where one is wanted."""

    def __init__(self, stream, *, copy: Path | None = None):
        self._stream = stream
        self._copy = copy
        self._printed: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait_for(self, *words: str, times=1, seconds=PATIENCE):
        """Wait until ``words`` were printed, in this order, the first of them so many ``times``."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not self._has(words, times):
                remaining = deadline - time.monotonic()
                missing = f"{words} ({times} times) was not printed:\n" + "".join(self._printed)
                assert not self._ended, missing
                assert remaining > 0, missing
                self._changed.wait(remaining)

    @property
    def printed(self):
        """What was printed so far, line by line."""
        with self._changed:
            return list(self._printed)

    def finish(self, seconds=5.0):
        """Wait until all that was printed is read; less where a child of the program lives on."""
        self._thread.join(seconds)

    def _has(self, words, times):
        first, *rest = words
        left = iter(self._printed)
        return all(any(word in line for line in left) for word in [first] * times + rest)

    def _read(self):
        with self._stream:
            for line in self._stream:
                if self._copy is not None:
                    with self._copy.open("ab") as copy:
                        copy.write(line)
                with self._changed:
                    self._printed.append(line.decode(errors="replace"))
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
