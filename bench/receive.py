"""How fast and with how much memory the node receives, beside DCMTK's storescp and Orthanc in the same run.

Twenty 4096 x 3328 16-bit mammograms, uncompressed (27 MB each) and in JPEG Lossless (4 MB each), go over
loopback by DCMTK's storescu into each of them in turn, from one sender and from four at a time. The node
syncs every file to disk and commits a row before it answers; storescp (a process an association, bytes as
they come) syncs nothing; Orthanc runs as its package installs it. Besides: memory with eight senders, the
rate while the worker computes as a share of that while it is stopped, and what dd writes with a sync a file.

    python bench/receive.py [--rounds 5] [--images 20] [--before TREE] [--only node storescp] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pydicom

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench.end_to_end import make_studies, without_gate  # noqa: E402
from bench.receivers import MEGABYTE, RECEIVERS, Started, memory_of, node, send  # noqa: E402
from tests.support.kills import wait_for_worker  # noqa: E402
from tests.support.mammograms import mammogram, write  # noqa: E402
from tests.support.node_process import NodeProcess, peer  # noqa: E402
from tests.support.peers import free_port  # noqa: E402

ROWS, COLUMNS = 4096, 3328
SENDERS = (1, 4)
MEMORY_SENDERS = 8
WORKERS = 2
"""[worker] processes by default; the second starts when jobs wait."""
BACKLOG_STUDIES = 6
"""What the workers compute on while the rest comes, of four images each: about a quarter of a minute."""


def make_images(folder: Path, count: int) -> list[Path]:
    """Write ``count`` different images: noise as pixels, so that nothing can be compressed or recognised."""
    generator = np.random.default_rng(1)
    paths = []
    for number in range(count):
        data_set = mammogram(rows=16, columns=16, bits=16, study=f"plain-{number // 4}", number=number + 1)
        data_set.Rows, data_set.Columns = ROWS, COLUMNS
        data_set.PixelData = generator.integers(0, 65535, ROWS * COLUMNS, dtype=np.uint16).tobytes()
        paths.append(folder / f"plain-{number:02}.dcm")
        write(data_set, paths[-1])
    return paths


def make_lossless_images(folder: Path, count: int) -> list[Path]:
    """Write ``count`` images in JPEG Lossless: grain over half of a picture, black beside it."""
    pixels = np.zeros((ROWS, COLUMNS), np.uint16)
    pixels[:, : COLUMNS // 2] = 2000 + np.random.default_rng(2).integers(0, 8, (ROWS, COLUMNS // 2))
    first, compressed = folder / "first.dcm", folder / "lossless.dcm"
    data_set = mammogram(rows=16, columns=16, bits=12)
    data_set.Rows, data_set.Columns, data_set.PixelData = ROWS, COLUMNS, pixels.tobytes()
    write(data_set, first)
    subprocess.run(["dcmcjpeg", "+e1", str(first), str(compressed)], check=True)
    encoded = pydicom.dcmread(compressed)
    paths = []
    for number in range(count):
        data_set = mammogram(rows=16, columns=16, bits=12, study=f"lossless-{number // 4}", number=number + 1)
        data_set.Rows, data_set.Columns = ROWS, COLUMNS
        data_set["PixelData"] = encoded["PixelData"]
        data_set.file_meta.TransferSyntaxUID = encoded.file_meta.TransferSyntaxUID
        paths.append(folder / f"lossless-{number:02}.dcm")
        write(data_set, paths[-1])
    first.unlink()
    compressed.unlink()
    return paths


def megabytes(paths: Sequence[Path]) -> float:
    """Return the size of all ``paths``."""
    return sum(path.stat().st_size for path in paths) / MEGABYTE


@contextmanager
def fresh(scratch: Path) -> Iterator[Path]:
    """Give an empty folder, whose removal is on the disk before the next begins."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        os.sync()


def disk_rate(images: Sequence[Path], scratch: Path) -> float:
    """Return the MB/s at which dd writes ``images``, each synced before the next."""
    with fresh(scratch) as folder:
        started = time.perf_counter()
        for path in images:
            target = f"of={folder / path.name}"
            subprocess.run(
                ["dd", f"if={path}", target, "bs=1M", "conv=fsync"], check=True, capture_output=True
            )
        return megabytes(images) / (time.perf_counter() - started)


def beside_worker(backlog: Sequence[Path], images: Sequence[Path], folder: Path, tree: Path) -> float:
    """Return the rate of reception while the workers compute, as a share of that while they are stopped.

    ``backlog`` comes while they are stopped, ``images`` while they analyse it with the default network.
    """
    extra = f'[console]\nenabled = false\n[model]\nname = "{without_gate(folder / "model")}"\n[worker]\n'
    peers = peer("PACS", free_port())
    with NodeProcess(
        folder, peers=peers, quiet_seconds=3600, extra=extra, tree=tree, receiving=None
    ) as process:
        worker = wait_for_worker(process)
        os.kill(worker, signal.SIGSTOP)
        stopped = megabytes(backlog) / send(backlog, process.port, "SECONDREAD")
        os.kill(worker, signal.SIGCONT)
        while process.log.read_text().count("worker ready") < WORKERS:
            time.sleep(0.1)
        return megabytes(images) / send(images, process.port, "SECONDREAD") / stopped


def one_round(
    receivers: Mapping[str, Started], images: Mapping[str, Sequence[Path]], scratch: Path
) -> dict[str, float]:
    """Return the figures of one round: rates in MB/s, memory in MB."""
    figures = {}
    for kind, paths in images.items():
        for senders in SENDERS:
            for name, started in receivers.items():
                with fresh(scratch) as folder, started(folder) as receiver:
                    seconds = send(paths, receiver.port, receiver.called, senders=senders)
                figures[f"{kind}, {senders} at a time: {name}"] = megabytes(paths) / seconds
    for name, started in receivers.items():
        with fresh(scratch) as folder, started(folder) as receiver, memory_of(receiver.pid) as memory:
            send(images["plain"], receiver.port, receiver.called, senders=MEMORY_SENDERS)
        figures[f"memory, {MEMORY_SENDERS} at a time: {name}"] = memory[0]
    figures["dd"] = disk_rate(images["plain"], scratch)
    return figures


def ratios(figures: Mapping[str, float]) -> dict[str, float]:
    """Return the node's rate as a share of each other's in one round."""
    shares = {}
    for name, rate in figures.items():
        measured, _, receiver = name.rpartition(": ")
        if measured and not measured.startswith("memory") and receiver != "node":
            shares[f"{measured}: node / {receiver}"] = figures[f"{measured}: node"] / rate
    shares["plain, 1 at a time: node / dd"] = figures["plain, 1 at a time: node"] / figures["dd"]
    return shares


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument(
        "--before", type=Path, metavar="TREE", help="another tree, whose node is measured too"
    )
    parser.add_argument("--only", nargs="+", choices=RECEIVERS, default=list(RECEIVERS))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    receivers = {name: RECEIVERS[name] for name in dict.fromkeys(("node", *arguments.only))}
    trees = {"node": ROOT}
    if arguments.before is not None:
        trees["node before"] = arguments.before.resolve()
        receivers["node before"] = partial(node, tree=trees["node before"])
    rounds: list[dict[str, float]] = []
    place = ROOT / "var"
    with tempfile.TemporaryDirectory(dir=place if place.is_dir() else None) as temporary:
        scratch = Path(temporary)
        images = {
            "plain": make_images(scratch, arguments.images),
            "lossless": make_lossless_images(scratch, arguments.images),
        }
        backlog = [path for study in make_studies(scratch, BACKLOG_STUDIES) for path in study]
        os.sync()  # else the disk still writes them while the first receiver is measured
        for number in range(arguments.rounds):
            figures = one_round(receivers, images, scratch)
            shares = ratios(figures)
            for name, tree in trees.items():
                with fresh(scratch) as folder:
                    shares[f"while the worker computes: {name} / the same with it stopped"] = beside_worker(
                        backlog, images["plain"], folder, tree
                    )
            rounds.append({**figures, **shares})
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
    if arguments.json:
        print(
            json.dumps({name: round(statistics.median(row[name] for row in rounds), 3) for name in rounds[0]})
        )
        return
    print(f"{arguments.images} images, {arguments.rounds} rounds: median, least, most (MB/s, MB, ratios)")
    for name in rounds[0]:
        values = [row[name] for row in rounds]
        print(f"{name:62} {statistics.median(values):8.2f} {min(values):8.2f} {max(values):8.2f}")


if __name__ == "__main__":
    main()
