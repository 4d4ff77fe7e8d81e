"""How much of its rate receiving keeps while 20 people use the console and 4 files a second are uploaded.

Two storescu store different 27 MB images at the same time, again and again, in turn with the console at rest
and under load; each pair of turns gives a ratio. The worker is stopped, so that receiving and console alone
share the machine. Node and senders are one session, in which the priorities of the node's processes count
(sched(7), autogroup). At rest the console and its readers are stopped: they would go on with what was
uploaded. Whoever loads it runs with the lowest priority, since in truth those are other machines.

    python bench/console_load.py [--rounds 6] [--images 4] [--size 4096x3328] [--json]
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import json
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench.receivers import MEGABYTE, send  # noqa: E402
from scp.console import process as console  # noqa: E402
from scp.console.reading.process import READER_STEPS  # noqa: E402
from scp.process import locks  # noqa: E402
from storage.database.sqlite import backend  # noqa: E402
from tests.support.mammograms import mammogram, write  # noqa: E402
from tests.support.node_process import NodeProcess, peer  # noqa: E402
from tests.support.peers import free_port  # noqa: E402

USERS = 20
UPLOADS_A_SECOND = 4
PAGES = ("/", "/studies", "/model", "/analyse", "/api")
THINKING = 1.0
"""Seconds between two pages of one user: nobody is faster for long."""
PARTS = {0: "node", console.STEPS: "console", READER_STEPS: "readers of uploads"}
"""Parts of a node by the nice level of their processes."""
USING = "whoever uses the console"
"""In truth other machines."""
WARM_SECONDS = 3.0
"""Of load before a turn under load is measured."""


class Load:
    """20 users and 4 uploads a second, while ``going``."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.going = threading.Event()
        self.answers: Counter[str] = Counter()
        self.seconds: list[float] = []
        self._picture = drawn_picture()

    def run(self) -> None:
        """Begin, and follow the lines of standard input: go, halt."""
        for number in range(USERS):
            threading.Thread(target=self._user, args=(number,), daemon=True).start()
        threading.Thread(target=self._uploads, daemon=True).start()
        for line in sys.stdin:
            (self.going.set if line.strip() == "go" else self.going.clear)()
            print("done", flush=True)
        sys.stderr.write(json.dumps({"answers": self.answers, "median": statistics.median(self.seconds)}))
        sys.stderr.flush()
        os._exit(0)  # uploads that still wait for their answer would keep it alive for minutes

    def _user(self, number: int) -> None:
        time.sleep(THINKING * number / USERS)
        while self.going.wait():
            for page in PAGES:
                self._ask("page", "GET", page)
                time.sleep(THINKING)

    def _uploads(self) -> None:
        with ThreadPoolExecutor(200) as pool:
            while self.going.wait():
                pool.submit(self._upload)
                time.sleep(1 / UPLOADS_A_SECOND)

    def _upload(self) -> None:
        boundary = uuid.uuid4().hex
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
        body = head.encode() + self._picture + f"\r\n--{boundary}--\r\n".encode()
        self._ask(
            "upload", "POST", "/predict", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        )

    def _ask(
        self,
        kind: str,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=300)
        started = time.perf_counter()
        try:
            connection.request(method, path, body, {"Accept": "text/html", **(headers or {})})
            answer = connection.getresponse()
            answer.read()
            self.answers[f"{kind} {answer.status}"] += 1
        except OSError as error:
            self.answers[f"{kind} {type(error).__name__}"] += 1
        finally:
            connection.close()
        if kind == "page":
            self.seconds.append(time.perf_counter() - started)


def drawn_picture() -> bytes:
    """Return a JPEG of the size and look of a mammogram."""
    rows, columns = np.mgrid[0:3328, 0:2560]
    grey = 200 * ((rows - 1664) ** 2 / 1500**2 + columns**2 / 1800**2 < 1)
    noise = np.random.default_rng(1).integers(0, 40, grey.shape)
    file = io.BytesIO()
    Image.fromarray((grey + noise).astype(np.uint8)).save(file, format="JPEG", quality=90)
    return file.getvalue()


def descendants(pid: int) -> list[int]:
    """Return the processes that ``pid`` has started, and those that they have."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for path in tasks for child in path.read_text().split()]
    return [process for child in children for process in (child, *descendants(child))]


def stop_between_writes(pid: int, data_dir: Path) -> None:
    """Stop a process that writes to the database at a moment when it does not hold its lock."""
    while True:
        os.kill(pid, signal.SIGSTOP)
        with contextlib.closing(sqlite3.connect(data_dir / backend.NAME, timeout=0.5)) as database:
            try:
                database.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                os.kill(pid, signal.SIGCONT)
                time.sleep(0.05)
            else:
                return


def parts(pid: int) -> list[tuple[int, str, float]]:
    """Return the processes of node ``pid`` that are of one of `PARTS`: id, part, processor seconds by now."""
    processes = []
    for process in (pid, *descendants(pid)):
        steps, seconds = stat(process)
        if (part := PARTS.get(steps)) is not None:
            processes.append((process, part, seconds))
    return processes


def stat(pid: int) -> tuple[int, float]:
    """Return the nice level of a process, and the processor seconds that it has taken by now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[16]), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def spent(pid: int, load_pid: int) -> dict[str, float]:
    """Return the processor seconds that each of `PARTS` of node ``pid``, and `USING`, have taken by now."""
    seconds = dict.fromkeys([*PARTS.values(), USING], 0.0)
    for _process, part, took in [*parts(pid), (load_pid, USING, stat(load_pid)[1])]:
        seconds[part] += took
    return seconds


def let_rest(pid: int, data_dir: Path) -> None:
    """Stop the console of node ``pid``, which could let its readers go on, and then them."""
    processes = parts(pid)
    for process in [process for process, part, _seconds in processes if part == PARTS[console.STEPS]]:
        stop_between_writes(process, data_dir)
    for process in [process for process, part, _seconds in processes if part == PARTS[READER_STEPS]]:
        os.kill(process, signal.SIGSTOP)


def let_go_on(pid: int) -> None:
    """Let everything go on that `let_rest` has stopped."""
    for process, part, _seconds in parts(pid):
        if part != PARTS[0]:
            os.kill(process, signal.SIGCONT)


def images(folder: Path, turn: int, count: int, size: tuple[int, int]) -> list[Path]:
    """Write images that no other turn has: noise as pixels."""
    generator = np.random.default_rng(turn)
    folder.mkdir()
    paths = []
    for number in range(count):
        data_set = mammogram(
            rows=16, columns=16, bits=16, study=f"load-{turn}-{number // 4}", number=turn * 100 + number
        )
        data_set.Rows, data_set.Columns = size
        data_set.PixelData = generator.integers(0, 65535, size[0] * size[1], dtype=np.uint16).tobytes()
        paths.append(write(data_set, folder / f"{number}.dcm"))
    return paths


def rate(port: int, sent: list[Path]) -> float:
    """Return the megabytes a second at which two senders, at the same time, store all that is to be sent."""
    size = sum(path.stat().st_size for path in sent) / MEGABYTE
    halves = sent[::2], sent[1::2]
    started = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda half: send(half, port, "SECONDREAD"), halves))
    return size / (time.perf_counter() - started)


def measure(rounds: int, count: int, size: tuple[int, int], folder: Path, *, as_json: bool) -> None:
    """Run everything and print."""
    port = free_port()
    node = NodeProcess(
        folder, peers=peer("PACS", free_port()), quiet_seconds=3600, extra=f"[console]\nport = {port}"
    )
    with node:
        node.lines.wait_for("worker ready", seconds=300)
        node.lines.wait_for("console listening", seconds=300)
        worker = locks.worker_pids(node.data_dir)[0]
        stop_between_writes(worker, node.data_dir)
        load = subprocess.Popen(
            ["nice", "-n", "19", sys.executable, __file__, "--load", str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

        def tell(word: str) -> None:
            load.stdin.write(f"{word}\n")
            load.stdin.flush()
            load.stdout.readline()

        tell("go")
        time.sleep(25)  # the reader loads its network once
        rates: dict[str, list[float]] = {"at rest": [], "under load": []}
        shares: list[dict[str, float]] = []
        for turn in range(2 * rounds):
            loaded = bool(turn % 2) != bool(turn // 2 % 2)  # rest, load, load, rest: a drift cancels out
            sent = images(folder / f"turn-{turn}", turn, 2 * count, size)
            os.sync()  # else the disk would write them during the turn
            if loaded:
                let_go_on(node.process.pid)
                tell("go")
            else:
                tell("halt")
                let_rest(node.process.pid, node.data_dir)
            time.sleep(WARM_SECONDS)
            before, started = spent(node.process.pid, load.pid), time.perf_counter()
            rates["under load" if loaded else "at rest"].append(rate(node.port, sent))
            took, after = time.perf_counter() - started, spent(node.process.pid, load.pid)
            if loaded:
                shares.append({part: (after[part] - before[part]) / took for part in after})
            for path in sent:
                path.unlink()
        let_go_on(node.process.pid)
        os.kill(worker, signal.SIGCONT)
        load.stdin.close()
        load.wait()
    show(rates, shares, as_json=as_json)


def show(rates: dict[str, list[float]], shares: list[dict[str, float]], *, as_json: bool) -> None:
    """Print the rates of all turns, and what the parts of the node took of the processors."""
    ratios = [under / rest for under, rest in zip(rates["under load"], rates["at rest"], strict=True)]
    if as_json:
        medians = {name: round(statistics.median(values), 1) for name, values in rates.items()}
        print(json.dumps({"ratio": {"kept": round(statistics.median(ratios), 3)}, "MB/s": medians}))
        return
    print(f"\nload average {os.getloadavg()[0]:.1f}")
    for name, values in {**rates, "ratio": ratios}.items():
        print(f"{name:11} {statistics.median(values):7.2f} [{min(values):.2f}-{max(values):.2f}]")
    for part in (*PARTS.values(), USING):
        print(f"{part}: {statistics.median(share[part] for share in shares):.2f} of a core under load")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--images", type=int, default=4, help="of each sender in a turn")
    parser.add_argument("--size", default="4096x3328")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--load", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load:
        Load(arguments.load).run()
        return
    rows, columns = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory(dir=ROOT / "var" if (ROOT / "var").is_dir() else None) as scratch:
        measure(arguments.rounds, arguments.images, (rows, columns), Path(scratch), as_json=arguments.json)


if __name__ == "__main__":
    main()
