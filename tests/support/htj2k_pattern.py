"""The picture in tests/support/htj2k: a ramp with a fine chequerboard, drawn by a formula."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROWS, COLUMNS = 48, 40


def pattern(bits: int) -> NDArray[np.uint16]:
    row, column = np.mgrid[0:ROWS, 0:COLUMNS]
    ramp = (row * COLUMNS + column) * (2**bits - 1) // (ROWS * COLUMNS - 1)
    return (ramp ^ ((row // 8 + column // 8) % 2)).astype(np.uint16)


def stream(kind: str, bits: int) -> bytes:
    return (Path(__file__).with_name("htj2k") / f"{kind}_{bits}.j2c").read_bytes()
