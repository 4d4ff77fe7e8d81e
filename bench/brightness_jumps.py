"""How often brightness jumps in pictures as they are, and in the same pictures with values that wrap around.

python bench/brightness_jumps.py FOLDER... [--each 25]

The first table has the share that `inference.analysis.breast` compares with its limit, the second that of
`inference.reading.stored_values`, and how many pictures are beyond the limit of the latter. Each folder is a
source; of its pictures, sorted by name, so many are taken, evenly spread. Values lose their upper bits, as
where 12 bits hold 13, 14 or 16.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from inference.analysis import breast  # noqa: E402
from inference.reading import pixels, stored_values  # noqa: E402
from inference.reading.pixels import Picture  # noqa: E402

BITS_LOST = (1, 2, 4)
IMAGES = frozenset({".png", ".jpg", ".jpeg", ".pgm", ".tif"})


def chosen(folder: Path, most: int) -> Sequence[Path]:
    """Return at most ``most`` pictures of ``folder``, evenly spread over their names."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGES | {".dcm"})
    return [paths[int(place)] for place in np.linspace(0, len(paths) - 1, min(most, len(paths)))]


def pictures(paths: Iterable[Path]) -> Iterator[Picture]:
    """Read each picture."""
    for path in paths:
        yield (pixels.from_dicom if path.suffix.lower() == ".dcm" else pixels.from_image_file)(path)


MEASURES: Final[dict[str, Callable[[NDArray[np.float32]], float]]] = {
    "jumps": lambda grey: float(np.mean(breast.jumps(grey))),
    "wrapped steps": lambda grey: float(np.mean(stored_values.wrapped_steps(grey))),
}


def main() -> None:
    """Print the shares of each folder: median and most of its pictures, the range where they wrap around."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--each", type=int, default=25)
    choice = parser.parse_args()
    rows: dict[str, list[str]] = {name: [] for name in MEASURES}
    for folder in choice.folders:
        shares: dict[tuple[str, int], list[float]] = {}
        for picture in pictures(chosen(folder, choice.each)):
            for bits in (0, *BITS_LOST):
                grey = np.mod(picture.grey * 2**bits, 1) if bits else picture.grey
                for name, measure in MEASURES.items():
                    shares.setdefault((name, bits), []).append(measure(grey))
        for name, lines in rows.items():
            lines.append(_row(folder.name, {bits: shares[name, bits] for bits in (0, *BITS_LOST)}))
    columns = "  ".join(f"{bits} bits lost".ljust(22) for bits in BITS_LOST)
    for name, lines in rows.items():
        print(f"{name}\n{'source'.ljust(14)} pictures median  most     beyond  {columns}", *lines, sep="\n")


def _row(source: str, shares: dict[int, list[float]]) -> str:
    """Return one line: range of the shares, and how many pictures are beyond the limit of `stored_values`."""
    ends = [
        f"{min(values):.5f}-{max(values):.5f} {_beyond(values)}".ljust(22)
        for bits, values in shares.items()
        if bits
    ]
    as_it_is = shares[0]
    head = f"{source.ljust(14)} {str(len(as_it_is)).ljust(8)} {np.median(as_it_is):.5f} {max(as_it_is):.5f} "
    return head + str(_beyond(as_it_is)).ljust(8) + "  ".join(ends)


def _beyond(values: Sequence[float]) -> int:
    return sum(value > stored_values.MOST_STEPS for value in values)


if __name__ == "__main__":
    main()
