"""The pictures of README and docs/viewers.md (`make pictures`): what OHIF shows, and what the demo returned.

``python -m tests.support.docs_pictures DEMO DOCS`` writes those of the demo.
"""

import os
import sys
from pathlib import Path

from PIL import Image

OF_THE_DEMO = {"summary": "sfm-malign-0/summary.png", "heatmap": "sfm-malign-0/L-CC-heatmap.png"}
"""Names in docs/, and files in the folder of the demo."""
HEIGHT_ON_README = 800
OHIF_SIZE = (1050, 675)
"""Three quarters of the window of `walk.mjs`."""


def save(picture: Path, target: Path, size: tuple[int, int]):
    """Write ``picture`` as a JPEG of ``size``, with colours as fine as the lines."""
    smaller = Image.open(picture).convert("RGB").resize(size, Image.Resampling.LANCZOS)
    smaller.save(target, quality=88, subsampling=0, optimize=True)


def save_ohif(pictures: dict[str, Path]):
    """Write pictures of OHIF, by their names in docs, to the folder of SECONDREAD_PICTURES, if any."""
    if folder := os.environ.get("SECONDREAD_PICTURES"):
        for name, picture in pictures.items():
            save(picture, Path(folder, f"viewers-{name}.jpg"), OHIF_SIZE)


def main(demo: Path, docs: Path):
    for name, file in OF_THE_DEMO.items():
        width, height = Image.open(demo / file).size
        save(demo / file, docs / f"{name}.jpg", (round(width * HEIGHT_ON_README / height), HEIGHT_ON_README))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
