"""A node in several processes on one database: roles that are started, killed, cut off and started again."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

from tests.support import ungated
from tests.support.lines import Lines
from tests.support.mammograms import mammogram
from tests.support.node_process import MODEL, ROOT, peer
from tests.support.peers import free_port
from tests.support.scu import store_rest

MODALITY = "MODALITY"
VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
BEGINNING = "role begun"
PATIENCE = 0.2
"""Seconds before a modality that was cut off calls again, at the next listener."""


class Loopback:
    """Every process on this machine as it is."""

    pacs = "127.0.0.1"

    def address(self, _number):
        """Return where the host ``number`` is reached."""
        return "127.0.0.1"

    def namespace(self, _number):
        """Return the name of the network namespace of the host ``number``: none."""
        return ""


class Site:
    """Knows the configuration that all processes share."""

    def __init__(self, folder: Path, *, url, pacs_port, hosts=None, quiet_seconds=60, extra=""):
        """``extra`` is more of the configuration; with a bucket in it each process has its own data_dir."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.hosts = hosts or Loopback()
        self.config = folder / "config.toml"
        model = ungated.copy(MODEL, folder / "model")
        pacs = peer("PACS", pacs_port).replace("127.0.0.1", self.hosts.pacs)
        self.config.write_text(
            f"""
[node]
host = "0.0.0.0"
data_dir = "{folder / "data"}"
disk_reserve_mb = 10
max_associations_per_address = 64

[database]
url = "{url}"

[study]
quiet_seconds = {quiet_seconds}

[worker]
processes = 1
lease_seconds = 15

[delivery]
first_retry_seconds = 1
longest_retry_seconds = 2

[console]
enabled = false

{extra}

[model]
name = "{model}"

{pacs}
[[peers]]
ae_title = "{MODALITY}"
results_to = ["PACS"]
"""
        )
        self.is_shared = "[files]" not in extra
        """Whether all processes have one data directory."""
        self.processes: list[RoleProcess] = []
        self.starter = Starter()

    def launch(self, role):
        """Start a process with ``role``, on a host of its own, and wait for nothing."""
        process = RoleProcess(self, role, len(self.processes) + 1)
        self.processes.append(process)
        process.launch()
        return process

    def of(self, role):
        """Return the processes with ``role``."""
        return [process for process in self.processes if process.role == role]

    def end(self):
        """Kill what is left."""
        for process in self.processes:
            process.kill()
        self.starter.end()


class Starter:
    """Owns the process that starts all others (`tests.support.scripted_node`)."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.scripted_node"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            text=True,
            bufsize=1,
        )
        self._lock = threading.Lock()

    def ask(self, word, argument):
        """Return the number that it answers."""
        with self._lock:
            self._process.stdin.write(f"{word} {argument}\n")
            return int(self._process.stdout.readline())

    def end(self):
        """End it; what it has started must have ended."""
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


class RoleProcess:
    """One process with a role, with a port for C-STORE and one for probes."""

    def __init__(self, site, role, number):
        self.site, self.role, self.number = site, role, number
        self.address = site.hosts.address(number)
        self.port, self.health_port = free_port(), free_port()
        self.pid = None
        self.lines = None
        name = "data" if site.is_shared else f"data-{role}-{number}"
        self.data_dir = site.folder / name

    def launch(self):
        """Start it, or another in its place, and wait for nothing."""
        pipe = self.site.folder / f"{self.role}-{self.number}.pipe"
        pipe.unlink(missing_ok=True)
        os.mkfifo(pipe)
        request = {
            "arguments": ["--config", str(self.site.config), "--role", self.role],
            "environment": {
                "SECONDREAD_NODE__PORT": str(self.port),
                "SECONDREAD_NODE__DATA_DIR": str(self.data_dir),
                "SECONDREAD_HEALTH__PORT": str(self.health_port),
            },
            "output": str(pipe),
            "namespace": self.site.hosts.namespace(self.number),
        }
        # opened first: the starter opens the other end, which one that dies at once closes
        reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(reading, True)
        self.pid = self.site.starter.ask("start", json.dumps(request))
        self.lines = Lines(os.fdopen(reading, "rb"), copy=pipe.with_suffix(".log"))

    def wait(self, seconds=120):
        """Wait until it does its work."""
        self.lines.wait_for(BEGINNING, seconds=seconds)
        return self

    def kill(self):
        """kill -9, its children included."""
        if self.pid is not None:
            os.killpg(self.pid, signal.SIGKILL)
            self._wait()

    def stop(self):
        """SIGTERM; returns the exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return self._wait()

    def _wait(self):
        code = self.site.starter.ask("wait", self.pid)
        self.pid = None
        self.lines.finish()
        return code

    def probe(self, path):
        """Return status and answer of the port for probes."""
        url = f"http://{self.address}:{self.health_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


class Modality(threading.Thread):
    """Stores studies, each image again until it is acknowledged, at any of the listeners in turn."""

    def __init__(self, listeners, studies, *, seconds):
        super().__init__(daemon=True)
        self._listeners = listeners
        self._studies = list(studies)
        self._deadline = time.monotonic() + seconds
        self.acknowledged: dict[str, str] = {}
        """SOP Instance UID → its study's."""
        self.start()

    def run(self):
        turn = 0
        for name in self._studies:
            left = [
                mammogram(side, view, study=name, number=number, rows=96, columns=80)
                for number, (side, view) in enumerate(VIEWS, 1)
            ]
            while left and time.monotonic() < self._deadline:
                left = self._send(self._listeners[turn % len(self._listeners)], left)
                turn += 1
                if left:
                    time.sleep(PATIENCE)

    def _send(self, listener, images):
        rest = store_rest(listener.port, images, calling=MODALITY, host=listener.address)
        for image in images:
            if image not in rest:
                self.acknowledged[str(image.SOPInstanceUID)] = str(image.StudyInstanceUID)
        return rest


def missing(pacs, acknowledged):
    """Return the acknowledged images that no report, or no heatmap, at the PACS is about."""
    return set(acknowledged) - (pacs.named_by("SR") & pacs.named_by("OT"))


def doubled(pacs, acknowledged, *, forgiven=0):
    """Count what came twice: reports of one study under several UIDs, other bytes, more sent again.

    ``forgiven``: objects that may have been on the wire when their sender was killed.
    """
    by_uid = pacs.by_uid()
    reports = {stored[0] for stored in by_uid.values() if stored[0].kind == "SR"}
    studies = Counter(frozenset(acknowledged[uid] for uid in report.names) for report in reports)
    other_bytes = sum(len({stored.digest for stored in objects}) > 1 for objects in by_uid.values())
    again = sum(len(objects) - 1 for objects in by_uid.values())
    return sum(number - 1 for number in studies.values()) + other_bytes + max(0, again - forgiven)
