"""What the benches of reception send to: the node, DCMTK's storescp, Orthanc; each a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.support.kills import children, name_of
from tests.support.node_process import ROOT, NodeProcess, peer
from tests.support.peers import free_port

MEGABYTE = 1_000_000
END_SECONDS = 60.0
"""For a foreign program to end when it is asked to."""
SAMPLED_SECONDS = 0.02
AS_FAST_AS_IT_CAN = ("--fork", "+B", "-pdu", "131072")
"""Options of storescp: a process an association, bytes as they come, PDUs of 128 KiB; it syncs nothing."""


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """A process that listens."""

    port: int
    called: str
    pid: int


Started = Callable[[Path], AbstractContextManager[Receiver]]
"""What starts a receiver that keeps its files in a folder."""


def proportional_memory(pid: int) -> float:
    """Return the resident memory of process ``pid`` in MB, of what it shares its part (proc(5), ``Pss``)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1000


def listening(pid: int) -> list[int]:
    """Return ``pid``, its children of the same program (`--fork` makes them), and those that receive."""

    def program(process: int) -> bytes:
        return Path(f"/proc/{process}/cmdline").read_bytes()

    processes = [pid]
    for child in children(pid):
        try:
            if program(child) == program(pid) or name_of(child).startswith("receiver-"):
                processes.append(child)
        except OSError:  # it has ended meanwhile
            continue
    return processes


@contextmanager
def memory_of(pid: int) -> Iterator[list[float]]:
    """Give a list whose one entry becomes the most memory of all listening processes at a time, in MB.

    What they share is counted once.
    """
    largest, ended = [0.0], threading.Event()

    def sample() -> None:
        while not ended.wait(SAMPLED_SECONDS):
            total = 0.0
            for process in listening(pid):
                try:
                    total += proportional_memory(process)
                except (OSError, StopIteration):  # it has ended meanwhile
                    continue
            largest[0] = max(largest[0], total)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield largest
    finally:
        ended.set()
        thread.join()


def send(images: Sequence[Path], port: int, called: str, *, senders: int = 1) -> float:
    """Store ``images`` with so many storescu at a time; return the seconds until the last has ended."""
    command = ["storescu", "-xs", "-aet", "PACS", "-aec", called, "-pdu", "131072", "127.0.0.1", str(port)]
    shares = [[*command, *map(str, images[number::senders])] for number in range(senders)]
    started = time.perf_counter()
    processes = [subprocess.Popen(share, stdout=subprocess.DEVNULL) for share in shares]
    codes = [process.wait() for process in processes]
    seconds = time.perf_counter() - started
    if any(codes):
        raise SystemExit(f"storescu has failed at port {port}: {codes}")
    return seconds


def wait_until_listening(port: int, called: str) -> None:
    """Wait for a C-ECHO to be answered."""
    command = ["echoscu", "-aet", "PACS", "-aec", called, "127.0.0.1", str(port)]
    for _ in range(600):
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.1)
    raise SystemExit(f"nothing answers at port {port}")


@contextmanager
def node(folder: Path, *, tree: Path = ROOT) -> Iterator[Receiver]:
    """Run the node of ``tree``, its worker stopped so that only receiving is measured."""
    peers, extra = peer("PACS", free_port()), "[console]\nenabled = false\n"
    options = {"quiet_seconds": 3600, "extra": extra, "working": False, "tree": tree, "receiving": None}
    with NodeProcess(folder, peers=peers, **options) as process:
        if process.receiving > 1:
            process.lines.wait_for("process receives", times=process.receiving - 1)
        yield Receiver(port=process.port, called="SECONDREAD", pid=process.process.pid)


@contextmanager
def _peer(
    command: Sequence[str], port: int, called: str, environment: Mapping[str, str] | None = None
) -> Iterator[Receiver]:
    """Run a foreign program until it is no longer wanted."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        wait_until_listening(port, called)
        yield Receiver(port=port, called=called, pid=process.pid)
    finally:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:  # Orthanc whose plugin hangs
            process.kill()
            process.wait()


@contextmanager
def storescp(folder: Path, options: Sequence[str] = ()) -> Iterator[Receiver]:
    """Run DCMTK's storescp with ``options``."""
    port = free_port()
    # without +xa it takes no compressed image
    with _peer(["storescp", "+xa", *options, "-od", str(folder), str(port)], port, "STORESCP") as receiver:
        yield receiver


@contextmanager
def orthanc(
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    options: Mapping[str, object] | None = None,
) -> Iterator[Receiver]:
    """Run Orthanc with SQLite, as its Debian package comes, but for ``options`` of its configuration."""
    port = free_port()
    configuration = folder / "orthanc.json"
    settings = {
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "DicomPort": port,
        "HttpServerEnabled": False,
        "DicomAlwaysAllowStore": True,
        "Plugins": [],
        **(options or {}),
    }
    configuration.write_text(json.dumps(settings))
    program = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
    with _peer([program, str(configuration)], port, "ORTHANC", environment) as receiver:
        yield receiver


PYTHON_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancPython.so")
"""Of Debian's package orthanc-python; it brings Python 3.11, whose compiled packages it can load alone."""


@contextmanager
def orthanc_that_reads(folder: Path, configuration: Path, archive: int) -> Iterator[Receiver]:
    """Run Orthanc with the plugin that analyses, and sends its results to the PACS at port ``archive``."""
    http = free_port()
    environment = {
        **os.environ,
        "OPENBLAS_NUM_THREADS": "1",  # as in the worker
        "PYTHONPATH": os.pathsep.join((str(ROOT), *site.getsitepackages())),
        "SECONDREAD_CONFIGURATION": str(configuration),
        "ORTHANC_PORT": str(http),
    }
    options = {
        "HttpServerEnabled": True,
        "HttpPort": http,
        "DicomModalities": {"PACS": ["PACS", "127.0.0.1", archive]},
        "Plugins": [str(PYTHON_PLUGIN)],
        "PythonScript": str(Path(__file__).with_name("orthanc_plugin.py")),
    }
    with orthanc(folder, environment=environment, options=options) as receiver:
        yield receiver


RECEIVERS: dict[str, Started] = {
    "node": node,
    "storescp": partial(storescp, options=AS_FAST_AS_IT_CAN),
    "storescp that keeps nothing": partial(storescp, options=(*AS_FAST_AS_IT_CAN, "--ignore")),
    "orthanc": orthanc,
}
"""What is measured side by side; the third says how fast storescu itself sends."""
