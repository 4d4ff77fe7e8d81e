"""Whether a node's memory stays what it is over many studies: received, analysed, reported, delivered.

Studies of one small image go to a whole node in ten parts, and each part is waited for until the PACS has all
its results. Resident memory of the listening process and of the worker is read between two parts (proc(5),
VmRSS, without a page of a file). The first part warms up, so the ratio is the end's to that of its end. The
worker opens the quickest network that is shipped; ``--scripted``: it says the same of every image and loads
none, which is several times as fast. ``--small``: heatmaps of 512 pixels and no summary, since the usual ones
of 10,000 studies take 120 GB.

    python bench/memory.py [--studies 10000] [--scripted] [--small] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from pynetdicom.presentation import build_context

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.mammograms import mammogram  # noqa: E402
from tests.support.node_process import NodeProcess, peer  # noqa: E402
from tests.support.remembering_archive import RememberingArchive  # noqa: E402
from tests.support.scu import associate  # noqa: E402

PARTS = 10
AT_ONCE = 20
"""Studies over one association."""
PART_SECONDS = 7200.0
SMALL = "[outputs]\nsc_max_side = 512\nsummary = false\n"


def children(pid: int) -> list[int]:
    """Return the processes that ``pid`` has started and that have not ended."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")  # of each thread
    return [int(word) for file in lists for word in file.read_text().split()]


def resident(pid: int) -> float:
    """Return the resident memory of process ``pid`` in MB that is no page of a file."""
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("RssAnon")) / 1000


def descendants(pid: int) -> list[int]:
    """Return all processes below ``pid``."""
    return [later for child in children(pid) for later in (child, *descendants(child))]


def store(port: int, names: range) -> set[str]:
    """Store a study of one image for each of ``names``; return the images' UIDs."""
    images = [mammogram("R", "CC", study=f"memory-{name}", rows=96, columns=80) for name in names]
    context = build_context(images[0].SOPClassUID, images[0].file_meta.TransferSyntaxUID)
    association = associate(port, [context], calling="PACS")
    for image in images:
        answer = association.send_c_store(image)
        if answer.get("Status") != 0x0000:
            raise SystemExit(f"the node answered {answer}")
    association.release()
    return {str(image.SOPInstanceUID) for image in images}


def run(folder: Path, studies: int, *, scripted: bool, small: bool) -> list[dict[str, float]]:
    """Return the memory in MB of each process after each part, and the studies a second of that part."""
    with ExitStack() as stack:
        pacs = stack.enter_context(RememberingArchive())
        node = NodeProcess(
            folder,
            peers=peer("PACS", pacs.port),
            quiet_seconds=1,
            extra=f"[console]\nenabled = false\n{SMALL if small else ''}",
            module="tests.support.scripted_node" if scripted else "scp",
        )
        pid = stack.enter_context(node).process.pid
        figures, images = [], set()
        for part in range(PARTS):
            began = time.monotonic()
            names = range(part * studies // PARTS, (part + 1) * studies // PARTS)
            for first in range(names.start, names.stop, AT_ONCE):
                images |= store(node.port, range(first, min(first + AT_ONCE, names.stop)))
            while images - pacs.named_by("SR"):
                if time.monotonic() - began > PART_SECONDS:
                    raise SystemExit(f"{len(images - pacs.named_by('SR'))} studies were not answered")
                time.sleep(0.5)  # the archive has no word for this
            figures.append(
                {
                    "listening": resident(pid),
                    "worker": max(map(resident, descendants(pid))),
                    "studies a second": len(names) / (time.monotonic() - began),
                }
            )
            sys.stderr.write(f"{names.stop} studies: {figures[-1]}\n")
        return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=10_000)
    parser.add_argument("--scripted", action="store_true", help="the worker loads no network")
    parser.add_argument("--small", action="store_true", help="small heatmaps, no summary")
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with tempfile.TemporaryDirectory(prefix="memory-", ignore_cleanup_errors=True) as folder:
        figures = run(Path(folder), words.studies, scripted=words.scripted, small=words.small)
    ratios = {name: round(figures[-1][name] / figures[0][name], 3) for name in figures[0]}
    if words.json:
        print(json.dumps({"studies": words.studies, "ratios": ratios}))
        return
    for name, ratio in ratios.items():
        print(
            f"{name:18}{figures[0][name]:9.1f} after the first tenth"
            f"{figures[-1][name]:9.1f} at the end: {ratio:.3f} x"
        )


if __name__ == "__main__":
    main()
