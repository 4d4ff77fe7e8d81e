"""How long a node takes until it answers a C-ECHO and until its worker is ready, and how long commands take.

Each is measured in each round, beside the import of SQLAlchemy alone: what that takes is the speed of the
machine, and the ratio to it what to compare. By the clock, and as processor time of the process that is
waited for. Before the rounds a node has started once: its database is made and its network compiled.
Python keeps what it has compiled, as it does where nobody forbids it.

    python bench/start.py [--rounds 5] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scp.process import locks  # noqa: E402
from tests.support.node_process import NodeProcess, peer  # noqa: E402
from tests.support.peers import free_port  # noqa: E402

UNIT = "import sqlalchemy"
"""What all else is compared with."""
COMPILING = {"PYTHONDONTWRITEBYTECODE": ""}
WORKER_SECONDS = 300.0

Cost = tuple[float, float]
"""Seconds by the clock, and of the processor."""


def command(*words: str) -> Cost:
    """Run Python with ``words`` to its end."""
    before, start_time = os.times(), time.perf_counter()
    environment = os.environ | COMPILING
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL, env=environment)
    seconds, after = time.perf_counter() - start_time, os.times()
    user, system = (
        after.children_user - before.children_user,
        after.children_system - before.children_system,
    )
    return seconds, user + system


def processor(pid: int) -> float:
    """Return the processor seconds that process ``pid`` has taken (proc(5), /proc/PID/stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start(node: NodeProcess) -> dict[str, Cost]:
    """Start ``node`` until its worker is ready, and end it."""
    start_time = time.perf_counter()
    node.start(**COMPILING)
    echo = time.perf_counter() - start_time, processor(node.process.pid)
    node.lines.wait_for("worker ready", seconds=WORKER_SECONDS)
    worker = time.perf_counter() - start_time
    (pid,) = locks.worker_pids(node.data_dir)
    costs = {"C-ECHO answered": echo, "worker ready": (worker, processor(pid))}
    # the next figure begins where nothing loads
    node.lines.wait_for("console listening", seconds=WORKER_SECONDS)
    node.stop()
    return costs


def measured(node: NodeProcess) -> dict[str, Cost]:
    """Measure everything once."""
    commands: dict[str, Callable[[], Cost]] = {
        UNIT: lambda: command("-c", "import sqlalchemy"),
        "--help": lambda: command("-m", "scp", "--help"),
        "status": lambda: command("-m", "scp", "--config", str(node.config), "status"),
        "studies": lambda: command("-m", "scp", "--config", str(node.config), "studies"),
    }
    return {name: run() for name, run in commands.items()} | start(node)


def figures(rounds: list[dict[str, Cost]]) -> dict[str, dict[str, float]]:
    """Return the medians of the rounds, and of the ratios to `UNIT` of the same round."""
    names = list(rounds[0])

    def medians(number: int, *, ratio: bool) -> dict[str, float]:
        values = {
            name: [costs[name][number] / (costs[UNIT][number] if ratio else 1) for costs in rounds]
            for name in names
        }
        return {name: round(statistics.median(of_name), 3) for name, of_name in values.items()}

    return {
        "seconds": medians(0, ratio=False),
        "processor seconds": medians(1, ratio=False),
        f"seconds / {UNIT}": medians(0, ratio=True),
        f"processor seconds / {UNIT}": medians(1, ratio=True),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print the figures as one line of JSON as well")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        console = f"[console]\nport = {free_port()}\n[model]\n"
        node = NodeProcess(Path(folder), peers=peer("PACS", free_port()), extra=console)
        try:
            start(node)
            measured(node)  # what Python compiles is kept from here on
            rounds = [measured(node) for _ in range(arguments.rounds)]
        finally:
            node.stop()
    result = figures(rounds)
    for kind, of_kind in result.items():
        print(f"{kind}: {', '.join(f'{name} {value:.2f}' for name, value in of_kind.items())}")
    if arguments.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
