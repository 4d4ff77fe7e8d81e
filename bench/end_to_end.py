"""How long a study takes from the last acknowledged image to the acknowledged report, and images per minute.

Sends studies of four full-size mammograms (4096 x 3328, 16 bit, with a breast in them) to a real node over
loopback and waits for the reports in a real Storage SCP. First one study at a time (latency), then all at
once (throughput with the queue full). Beside each: DCMTK's storescu and storescp moving the same files, the
lower bound of any system that sends and stores them.

    python bench/end_to_end.py [--studies 5] [--workers 2] [--json]
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench.receivers import send, storescp  # noqa: E402
from inference.network import manifest  # noqa: E402
from tests.support.archive_scp import ArchiveSCP, reports  # noqa: E402
from tests.support.mammograms import mammogram, write  # noqa: E402
from tests.support.node_process import NodeProcess, peer  # noqa: E402

ROWS, COLUMNS = 4096, 3328
VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))


def make_studies(folder: Path, count: int) -> list[list[Path]]:
    """Write ``count`` studies of four views."""
    studies = []
    for study in range(count):
        paths = []
        for number, (laterality, view) in enumerate(VIEWS, 1):
            path = folder / f"{study}-{laterality}{view}.dcm"
            image = mammogram(
                laterality,
                view,
                rows=ROWS,
                columns=COLUMNS,
                study=f"bench-{study}",
                number=number,
                lesion=study % 2 == 0,
                bits=16,
            )
            write(image, path)
            paths.append(path)
        studies.append(paths)
    return studies


def without_gate(folder: Path) -> Path:
    """Copy the default model without its gate, for which drawn breasts are no mammograms (it takes 20 ms)."""
    shutil.copytree(manifest.shipped(), folder)
    description = folder / "manifest.toml"
    description.write_text(description.read_text("utf-8").partition("\n[gate]")[0] + "\n", encoding="utf-8")
    return folder


def lower_bound(paths: list[Path], folder: Path) -> float:
    """Return the seconds in which storescp alone takes the same files."""
    with storescp(folder) as receiver:
        return send(paths, receiver.port, receiver.called)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="[worker] processes")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, ArchiveSCP("PACS") as pacs:
        source, sink, home = (Path(scratch, name) for name in ("images", "sink", "node"))
        for folder in (source, sink, home):
            folder.mkdir()
        studies = make_studies(source, arguments.studies * 2 + 1)
        warm_up, singles, together = (
            studies[0],
            studies[1 : arguments.studies + 1],
            studies[arguments.studies + 1 :],
        )
        bound = lower_bound([path for paths in together for path in paths], sink)
        extra = f"""
[model]
name = "{without_gate(Path(scratch, "model"))}"
[worker]
processes = {arguments.workers}
"""
        with NodeProcess(home, peers=peer("PACS", pacs.port), extra=extra) as node:
            send(warm_up, node.port, "SECONDREAD")
            pacs.wait_for(lambda received: len(reports(received)) == 1, 300)
            latencies = []
            for number, paths in enumerate(singles, 2):
                send(paths, node.port, "SECONDREAD")
                acknowledged = time.perf_counter()
                pacs.wait_for(lambda received, least=number: len(reports(received)) == least, 300)
                latencies.append(time.perf_counter() - acknowledged)
            reported = len(singles) + 1
            started = time.perf_counter()
            for paths in together:
                send(paths, node.port, "SECONDREAD")
            pacs.wait_for(lambda received: len(reports(received)) == reported + len(together), 900)
            whole = time.perf_counter() - started
    images = 4 * len(together)
    if arguments.json:
        figures = {
            "ratio": {"queue full / storescp": round(whole / bound, 1)},
            "last image acknowledged to report acknowledged, s": round(statistics.median(latencies), 2),
            "images a minute, queue full": round(60 * images / whole, 1),
        }
        print(json.dumps(figures))
        return
    spread = f"{statistics.median(latencies):.2f} s [{min(latencies):.2f}-{max(latencies):.2f}]"
    print(f"last image acknowledged -> report acknowledged: median {spread}, {len(latencies)} studies")
    times = f"{whole / bound:.1f} times what storescp takes to store them"
    print(f"queue full: {60 * images / whole:.0f} images a minute ({images} in {whole:.1f} s, {times})")


if __name__ == "__main__":
    main()
