"""What the queue itself carries: images recorded, then claimed and finished, a second, by so many processes.

The processes compute nothing, so the rate is that of the database: SQLite's file and PostgreSQL's server
(with fsync, over its socket) in turn, several rounds. Each process has it open as a worker has.

    python bench/queue_rate.py [--images 200] [--processes 1 2 4] [--rounds 3] [--json]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Barrier
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from storage.database.engine import Database  # noqa: E402
from storage.queue import arrivals, jobs  # noqa: E402
from tests.support.postgresql import Cluster  # noqa: E402
from tests.unit.storage.making import arrival, finding  # noqa: E402

LEASE = timedelta(minutes=10)


def work(folder: Path, url: str | None, number: int, images: int, turns: Barrier) -> None:
    """Record ``images`` images, wait for the others, then claim and finish until nothing is left."""
    now = datetime.now(UTC)
    with contextlib.closing(Database.open(folder, url=url)) as database:
        turns.wait()
        for image in range(images):
            with database.write() as tx:
                new = arrival(image, study=f"1.2.{number}.{image // 4}")
                arrivals.record(tx, new, destinations=["PACS"], now=now)
        turns.wait()
        while True:
            with database.write_beside_others() as tx:  # as a worker does
                job = jobs.claim(tx, owner=f"worker-{number}", now=now, lease=LEASE)
            if job is None:
                break
            with database.write() as tx:
                jobs.finish_analysis(tx, job.lease, finding(str(job.sop_instance_uid)), now=now)
        turns.wait()


def rates(folder: Path, url: str | None, processes: int, images: int) -> tuple[float, float]:
    """Return images recorded, and jobs claimed and finished, a second."""
    context = multiprocessing.get_context("spawn")
    Database.open(folder, url=url).close()
    turns = context.Barrier(processes + 1)
    share = images // processes
    workers = [
        context.Process(target=work, args=(folder, url, number, share, turns)) for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    times = []
    for _ in range(3):
        turns.wait()
        times.append(time.monotonic())
    for worker in workers:
        worker.join()
    number = share * processes
    return number / (times[1] - times[0]), number / (times[2] - times[1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    cluster = Cluster().start()
    measured: dict[tuple[str, int], list[tuple[float, float]]] = {}
    try:
        for turn in range(words.rounds):
            for processes in words.processes:
                for kind in ("sqlite", "postgresql"):
                    url = cluster.create(f"rate_{turn}_{processes}") if kind == "postgresql" else None
                    with tempfile.TemporaryDirectory() as folder:
                        pair = rates(Path(folder), url, processes, words.images)
                    measured.setdefault((kind, processes), []).append(pair)
    finally:
        cluster.remove()
    rates_of = {
        f"{kind}, {processes} processes": dict(
            zip(("recorded", "done"), zip(*pairs, strict=True), strict=True)
        )
        for (kind, processes), pairs in measured.items()
    }
    if words.json:
        medians = {
            place: {name: round(statistics.median(values), 1) for name, values in figures.items()}
            for place, figures in rates_of.items()
        }
        print(json.dumps(medians))
        return
    for place, figures in rates_of.items():
        print(
            f"{place:26}{spread(figures['recorded'])} images recorded/s{spread(figures['done'])} jobs done/s"
        )


def spread(values: Sequence[float]) -> str:
    """Return median, least and most of ``values``."""
    return f"{statistics.median(values):6.0f} [{min(values):.0f}-{max(values):.0f}]"


if __name__ == "__main__":
    main()
