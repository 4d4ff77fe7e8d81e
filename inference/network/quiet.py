"""Hold back what a native library prints on standard error while it starts; no TensorFlow here.

TensorFlow 2.21 writes a dozen lines about absent graphics cards past every log setting that it documents
(absl prints them before its own level is known). They are no news for the operator of a processor-only node.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_STANDARD_ERROR: Final = 2


@contextmanager
def native_stderr_off() -> Iterator[None]:
    """Send file descriptor 2 to nowhere inside the block; exceptions pass as usual."""
    sys.stderr.flush()
    kept = os.dup(_STANDARD_ERROR)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, _STANDARD_ERROR)
        yield
    finally:
        os.dup2(kept, _STANDARD_ERROR)
        os.close(kept)
        os.close(nowhere)
