"""How often brightness jumps in pictures as they are, and in the same pictures with values that wrap around.

python bench/brightness_jumps.py FOLDER... [--each 25]

It is the share that `inference.analysis.breast` compares with its limit. Each folder is a source; of its
pictures, sorted by name, so many are taken, evenly spread. Values lose their upper bits, as where
12 bits hold 13, 14 or 16.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from inference.analysis import breast  # noqa: E402
from inference.reading import pixels  # noqa: E402
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


def main() -> None:
    """Print the shares of each folder: median and most of its pictures, the range where they wrap around."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--each", type=int, default=25)
    choice = parser.parse_args()
    columns = [f"{bits} bits lost" for bits in BITS_LOST]
    print("source".ljust(16), "pictures", "median", "most  ", *(name.ljust(15) for name in columns))
    for folder in choice.folders:
        shares: list[float] = []
        wrapped: dict[int, list[float]] = {bits: [] for bits in BITS_LOST}
        for picture in pictures(chosen(folder, choice.each)):
            shares.append(float(np.mean(breast.jumps(picture.grey))))
            for bits in BITS_LOST:
                wrapped[bits].append(float(np.mean(breast.jumps(np.mod(picture.grey * 2**bits, 1)))))
        ends = [f"{min(values):.4f}-{max(values):.4f}".ljust(15) for values in wrapped.values()]
        print(
            folder.name.ljust(16),
            str(len(shares)).ljust(8),
            f"{np.median(shares):.4f}",
            f"{max(shares):.4f}",
            *ends,
        )


if __name__ == "__main__":
    main()
