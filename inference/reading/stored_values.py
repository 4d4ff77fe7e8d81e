"""Stored values out of decoded samples, and whether header and samples speak of the same numbers (PS3.5 8).

A sample is what a decoder gives for a pixel: Bits Allocated bits, of which High Bit and Bits Stored name
those that count. The header alone says whether they are signed; no codestream does for all compressions. So
the same samples give the same stored values, whatever compressed them.

Where the header calls unsigned samples signed, or the reverse, brightness that rises leaves the range at one
end and comes in again at the other. Neighbours then lie at opposite ends, which the other reading of the same
samples does not show, and the background lies in the middle: nobody may believe such a picture.

Where upper bits are lost, brightness that rises begins at the bottom again. Such a step is told from the edge
of a frame or a label by what lies beside it: brightness goes on rising where it has stepped down, and falling
where it has stepped up, and the values next to it are not plain black or white.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from inference.errors import Failed

DISAGREE: Final = "header and pixels disagree"
_SIGN: Final = f"{DISAGREE}: their values wrap around when they are read as Pixel Representation says"
_STORED: Final = f"{DISAGREE}: there are values outside Bits Stored"

_EXAMINED: Final = 1_500_000
"""Pixels that are compared with their neighbours: lines evenly spread over the image."""
_LEAST_SHARE: Final = 0.0005
"""Share of neighbours at opposite ends from which a picture counts as wrapped around. No measurement on
record."""
_TIMES_OTHER: Final = 4
"""So many times fewer such neighbours has the other reading, or nothing is proven. No measurement on
record."""

WRAPPED: Final = "image quality not sufficient: values wrap around, as where their upper bits are lost"
_STEP: Final = 7 / 8
"""Share of the range: neighbours that are further apart lie at its opposite ends."""
_TAILS: Final = (0.1, 99.9)
"""Percentiles between which the range lies."""
MOST_STEPS: Final = 0.0005
"""Share of `wrapped_steps` beyond which upper bits are lost: by ``bench/brightness_jumps.py``, whose figures
stand in ``docs/reliability.md``."""
_BESIDE: Final = 2
"""Pixels from a step to where the brightness on its side is compared."""


def of_samples(header: Dataset, samples: NDArray[Any]) -> NDArray[Any]:
    """Return stored values of ``samples`` (rows by columns): shifted, cut to Bits Stored, with their sign.

    Raises ValueError where Bits Stored are more than are there.
    """
    allocated, stored = 8 * samples.dtype.itemsize, int(header.BitsStored)
    if not 1 <= stored <= allocated:
        raise ValueError("more Bits Stored than a sample has")
    if stored == allocated:
        return samples.view(f"{'i' if header.PixelRepresentation else 'u'}{samples.dtype.itemsize}")
    bits = _low_bits(header, samples)
    values = bits & np.array((1 << stored) - 1, bits.dtype)
    if not header.PixelRepresentation:
        return np.asarray(values)
    signed = values.astype(np.int16, copy=False)
    sign = np.int16(1 << (stored - 1))
    return np.asarray((signed ^ sign) - sign)


def check(header: Dataset, samples: NDArray[Any], values: NDArray[Any]) -> None:
    """Raise Failed where ``values`` wrap around, and another reading of ``samples`` does not."""
    stored = int(header.BitsStored)
    lines = _examined(values)
    sample_lines = values[lines].astype(np.int32)
    if stored > 1 and _background_in_the_middle(
        sample_lines, stored, signed=bool(header.PixelRepresentation)
    ):
        half = 1 << (stored - 1)
        reinterpreted = (
            sample_lines & ((1 << stored) - 1) if header.PixelRepresentation else sample_lines ^ half
        )
        if _wrapped(_jumps(sample_lines, half), _jumps(reinterpreted, half)):
            raise Failed(_SIGN)
    if stored < 8 * samples.dtype.itemsize:
        _check_bits(sample_lines, _low_bits(header, samples)[lines].astype(np.int32), stored)


def wrapped_steps(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where ``values`` (rows by columns) begin at the other end: sampled lines by pairs."""
    lines = values[_examined(values)].astype(np.float32)
    if lines.shape[1] < 2 * _BESIDE + 2:
        return np.zeros((len(lines), 1), bool)
    low, high = np.percentile(lines, _TAILS)
    apart = np.diff(lines, axis=1)
    if max(float(apart.max()), -float(apart.min())) <= _STEP * (high - low):
        return np.zeros((len(lines), apart.shape[1] - 2 * _BESIDE), bool)
    plain = (lines == lines.min()) | (lines == lines.max())
    wide = (np.abs(apart) > _STEP * (high - low)) & ~plain[:, :-1] & ~plain[:, 1:]
    inner = slice(_BESIDE, -_BESIDE)
    before = lines[:, _BESIDE : -_BESIDE - 1] - lines[:, : -2 * _BESIDE - 1]
    after = lines[:, 2 * _BESIDE + 1 :] - lines[:, _BESIDE + 1 : -_BESIDE]
    step = np.sign(apart[:, inner])
    return np.asarray(wide[:, inner] & (before * step < 0) & (after * step < 0))


def check_upper_bits(values: NDArray[Any]) -> None:
    """Raise Failed where ``values`` (rows by columns) have lost upper bits, all over the picture."""
    if float(np.mean(wrapped_steps(values))) > MOST_STEPS:
        raise Failed(WRAPPED)


def _examined(values: NDArray[Any]) -> slice:
    return slice(None, None, max(1, values.size // _EXAMINED))


def _check_bits(sample_lines: NDArray[np.int32], bits: NDArray[np.int32], stored: int) -> None:
    """Raise Failed where brightness goes on in bits above Bits Stored; an overlay there is none."""
    half = 1 << (stored - 1)
    carried = np.diff(bits >> stored, axis=1) != 0
    continued = (
        carried & (np.abs(np.diff(bits, axis=1)) <= half) & (np.abs(np.diff(sample_lines, axis=1)) > half)
    )
    share = float(np.mean(continued)) if continued.size else 0.0
    if share > _LEAST_SHARE and _TIMES_OTHER * share > float(np.mean(carried)):
        raise Failed(_STORED)


def _low_bits(header: Dataset, samples: NDArray[Any]) -> NDArray[Any]:
    """Return ``samples`` as unsigned numbers whose lowest bit is the lowest of Bits Stored.

    Values that fill no more than Bits Stored bits lie there already, whatever High Bit says.
    """
    bits = samples.view(f"u{samples.dtype.itemsize}")
    stored, allocated = int(header.BitsStored), 8 * samples.dtype.itemsize
    shift = int(header.get("HighBit", stored - 1)) + 1 - stored
    if 0 < shift <= allocated - stored and bits.size and int(bits.max()) >> stored:
        return np.asarray(bits >> np.array(shift, bits.dtype))
    return bits


def _background_in_the_middle(values: NDArray[np.int32], stored: int, *, signed: bool) -> bool:
    """Whether the most frequent brightness, to a 64th of the range, lies in the middle half of the range."""
    offset = 1 << (stored - 1) if signed else 0
    counts = np.bincount((((values + offset) << 6) >> stored).ravel(), minlength=64)
    return bool(16 <= int(counts.argmax()) < 48)  # noqa: PLR2004 -- a quarter and three quarters of 64


def _jumps(values: NDArray[np.int32], half: int) -> float:
    """Return the share of neighbours in a line that are further apart than half of the range."""
    return float(np.mean(np.abs(np.diff(values, axis=1)) > half)) if values.shape[1] > 1 else 0.0


def _wrapped(share: float, other_share: float) -> bool:
    return share > _LEAST_SHARE and share > _TIMES_OTHER * other_share
