"""How much processor time the check of each object before it is sent takes, by kind of object.

python bench/check_objects.py [--times 20]
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import time
from pathlib import Path

import pydicom

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from inference.results import validation  # noqa: E402
from inference.results.kinds import KINDS  # noqa: E402
from tests.support import results  # noqa: E402


def files(kind: str) -> list[bytes]:
    """Return the objects of one kind of a study of four views, as files."""
    images = [results.study_image(header, results.measured(), Path()) for header in results.four_views()]
    written = []
    for result in results.objects(images, kinds=[entry for entry in KINDS if entry.name == kind]):
        buffer = io.BytesIO()
        result.save_as(buffer, enforce_file_format=True)
        written.append(buffer.getvalue())
    return written


def milliseconds(file: bytes) -> float:
    """Return the processor time of one check of a file that has just been read."""
    data_set = pydicom.dcmread(io.BytesIO(file))
    start = time.process_time()
    validation.faults(data_set)
    return 1000 * (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    times = parser.parse_args().times
    for kind in KINDS:
        figures = [milliseconds(file) for file in files(kind.name) for _ in range(times)]
        if figures:
            print(f"{kind.name:12} {statistics.median(figures):6.1f} ms an object")


if __name__ == "__main__":
    main()
