"""How fast and with how much memory the node receives, beside DCMTK's storescp and Orthanc in the same run.

Twenty uncompressed 4096 x 3328 16-bit mammograms (27 MB each) go over loopback by DCMTK's storescu on one
association into each of the three, in turn, several rounds. The node syncs every file to disk and commits
a row before it answers; the two others run as their packages install them. Prints medians, ratios and the
peak memory of each receiving process (VmHWM).

    python bench/receive.py [--rounds 5] [--images 20] [--json]
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.mammograms import mammogram, write  # noqa: E402
from tests.support.node_process import NodeProcess, peer  # noqa: E402
from tests.support.peers import free_port  # noqa: E402

ROWS, COLUMNS = 4096, 3328
MEGABYTE = 1_000_000


def make_images(folder: Path, count: int) -> list[Path]:
    """Write ``count`` different images: noise as pixels, so that nothing can be compressed or recognised."""
    generator = np.random.default_rng(1)
    paths = []
    for number in range(count):
        data_set = mammogram(rows=16, columns=16, bits=16, study=f"bench-{number // 4}", number=number + 1)
        data_set.Rows, data_set.Columns = ROWS, COLUMNS
        data_set.PixelData = generator.integers(0, 65535, ROWS * COLUMNS, dtype=np.uint16).tobytes()
        paths.append(folder / f"{number:02}.dcm")
        write(data_set, paths[-1])
    return paths


def peak_memory(pid: int) -> float:
    """Return the peak resident memory of process ``pid`` in MB."""
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM")) / 1000


def send(images: list[Path], port: int, called: str) -> float:
    """Store ``images`` with storescu; return the seconds it took."""
    command = [
        "storescu",
        "-aet",
        "PACS",
        "-aec",
        called,
        "-pdu",
        "131072",
        "127.0.0.1",
        str(port),
        *map(str, images),
    ]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def wait_until_listening(port: int, called: str) -> None:
    """Wait for a C-ECHO to be answered."""
    for _ in range(600):
        if (
            subprocess.run(
                ["echoscu", "-aet", "PACS", "-aec", called, "127.0.0.1", str(port)],
                capture_output=True,
                check=False,
            ).returncode
            == 0
        ):
            return
        time.sleep(0.1)
    raise SystemExit(f"nothing answers at port {port}")


@contextmanager
def node(folder: Path) -> Iterator[tuple[int, str, int]]:
    """Run the node, its worker stopped so that only receiving is measured."""
    peers, extra = peer("PACS", free_port()), "[console]\nenabled = false\n"
    with NodeProcess(folder, peers=peers, quiet_seconds=3600, extra=extra, working=False) as process:
        yield process.port, "SECONDREAD", process.process.pid


@contextmanager
def storescp(folder: Path) -> Iterator[tuple[int, str, int]]:
    """Run DCMTK's storescp with its defaults."""
    port = free_port()
    process = subprocess.Popen(
        ["storescp", "-od", str(folder), str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until_listening(port, "STORESCP")
        yield port, "STORESCP", process.pid
    finally:
        process.kill()
        process.wait()


@contextmanager
def orthanc(folder: Path) -> Iterator[tuple[int, str, int]]:
    """Run Orthanc with SQLite, as its Debian package comes."""
    port = free_port()
    configuration = folder / "orthanc.json"
    configuration.write_text(
        json.dumps(
            {
                "StorageDirectory": str(folder),
                "IndexDirectory": str(folder),
                "DicomPort": port,
                "HttpServerEnabled": False,
                "DicomAlwaysAllowStore": True,
                "Plugins": [],
            }
        )
    )
    program = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
    process = subprocess.Popen(
        [program, str(configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until_listening(port, "ORTHANC")
        yield port, "ORTHANC", process.pid
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    speeds: dict[str, list[float]] = {}
    memory: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=ROOT / "var" if (ROOT / "var").is_dir() else None) as scratch:
        source = Path(scratch, "images")
        source.mkdir()
        images = make_images(source, arguments.images)
        size = sum(path.stat().st_size for path in images) / MEGABYTE
        for round_ in range(arguments.rounds):
            for receiver in (node, storescp, orthanc):
                name = receiver.__name__
                folder = Path(scratch, f"{name}-{round_}")
                folder.mkdir()
                with receiver(folder) as (port, called, pid):
                    speeds.setdefault(name, []).append(size / send(images, port, called))
                    memory[name] = max(memory.get(name, 0.0), peak_memory(pid))
                shutil.rmtree(folder)
    ratios = {
        f"node / {name}": [
            speed / peer_speed for speed, peer_speed in zip(speeds["node"], speeds[name], strict=True)
        ]
        for name in ("storescp", "orthanc")
    }
    if arguments.json:
        rates = {name: round(statistics.median(values), 1) for name, values in speeds.items()}
        medians = {name: round(statistics.median(values), 3) for name, values in ratios.items()}
        print(json.dumps({"ratio": medians, "MB/s": rates, "peak memory, MB": memory}))
        return
    print(f"{arguments.images} images of {size / arguments.images:.1f} MB, {arguments.rounds} rounds")
    print("receiver   MB/s median [min-max]   peak memory MB")
    for name, values in speeds.items():
        spread = f"{statistics.median(values):6.0f} [{min(values):.0f}-{max(values):.0f}]"
        print(f"{name:10} {spread:20} {memory[name]:6.0f}")
    for name, values in ratios.items():
        spread = f"{statistics.median(values):.2f} [{min(values):.2f}-{max(values):.2f}]"
        print(f"{name}: {spread} round by round")


if __name__ == "__main__":
    main()
