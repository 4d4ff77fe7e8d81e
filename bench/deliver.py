"""How many results a second the one process on duty sends, beside DCMTK's storescu with the same files.

Studies of four full-size mammograms are reported without a network in this process, and their results, as a
usual peer gets them (report, heatmaps, summary), are owed to a storescp of DCMTK. The node's sender delivers
all, with its checks, transactions and syncs; storescu then stores the same files over one association.

    python bench/deliver.py [--rounds 5] [--studies 6] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import structlog  # noqa: E402

from bench.end_to_end import COLUMNS, ROWS  # noqa: E402
from bench.receivers import AS_FAST_AS_IT_CAN, MEGABYTE, send, storescp  # noqa: E402
from scp.configuration.sections import Peer  # noqa: E402
from scp.delivering.sender import Sender  # noqa: E402
from tests.support.in_process import InProcessNode  # noqa: E402
from tests.support.mammograms import standard_views  # noqa: E402

QUIET = timedelta(minutes=10)


def measured(folder: Path, studies: int) -> tuple[int, float, float, float]:
    """Return the objects sent, their MB, and the seconds that the node and storescu took."""
    sink = folder / "sink"
    sink.mkdir()
    with storescp(sink, AS_FAST_AS_IT_CAN) as receiver:
        peer = Peer(ae_title=receiver.called, host="127.0.0.1", port=receiver.port)
        node = InProcessNode(folder / "node", peers=(peer,))
        try:
            for study in range(studies):
                views = standard_views(rows=ROWS, columns=COLUMNS, study=f"deliver-{study}")
                node.receive(*views, calling_ae=peer.ae_title)
            node.work(later=QUIET)
            sender = Sender(
                settings=node.settings,
                database=node.database,
                archive=node.archive,
                now=node.clock,
                jitter=lambda: 0.0,
            )
            results = sorted((node.archive.data_dir / "results").rglob("*.dcm"))
            began = time.perf_counter()
            objects = sender.deliver(peer.ae_title)
            seconds = time.perf_counter() - began
        finally:
            node.close()
        if objects != len(results):
            raise SystemExit(f"{objects} of {len(results)} results were sent")
        size = sum(file.stat().st_size for file in results) / MEGABYTE
        return objects, size, seconds, send(results, receiver.port, receiver.called)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--studies", type=int, default=6)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    rates, speeds, ratios = [], [], []
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as folder:
            objects, size, seconds, alone = measured(Path(folder), arguments.studies)
        rates.append(60 * objects / seconds)
        speeds.append(size / seconds)
        ratios.append(alone / seconds)
    figures = {
        "ratio to storescu": ratios,
        "objects a minute": rates,
        "MB/s": speeds,
    }
    if arguments.json:
        medians = {name: round(statistics.median(values), 2) for name, values in figures.items()}
        print(json.dumps({"ratio": {"sent / storescu": medians.pop("ratio to storescu")}, **medians}))
        return
    for name, values in figures.items():
        print(f"{name:18}{statistics.median(values):8.2f} [{min(values):.2f}-{max(values):.2f}]")


if __name__ == "__main__":
    main()
