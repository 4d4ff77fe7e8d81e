"""The node as its administrator runs it: ``python -m scp``, in a process group that can be killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from pynetdicom import AE
from pynetdicom.sop_class import Verification

from scp.configuration.sections import Node
from tests.support import kills, ungated
from tests.support.lines import Lines
from tests.support.peers import free_port

ROOT = Path(__file__).resolve().parents[2]
MODEL = "document-cnn-1.2.0"
"""The quickest that is shipped; nodes that are to open another say so in their configuration."""
WHOLE = 60
"""As ``quiet_seconds``: a study of four views is complete when they are in, however slowly they come."""


class NodeProcess:
    """Starts, kills and restarts a node on one data directory."""

    def __init__(
        self,
        folder: Path,
        *,
        peers: str,
        quiet_seconds=2,
        extra="",
        data_dir=None,
        working=True,
        module="scp",
        tree=ROOT,
        receiving=1,
    ):
        """``working``: whether its worker may load its network, which takes seconds of every core.

        ``module``: what Python runs; with ``tests.support.scripted_node`` no worker loads a network.
        ``tree``: the checkout whose code it runs.
        ``receiving``: how many processes receive; None: as many as by default.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.data_dir = data_dir or folder / "data"
        self.working = working
        # another tree may know nothing of them
        self.receiving = Node().receiving_processes if receiving is None and tree == ROOT else receiving or 1
        processes = "" if receiving is None or tree != ROOT else f"receiving_processes = {receiving}"
        self.module = module
        self.tree = tree
        self.config = folder / "config.toml"
        model = "" if "[model]" in extra else f'[model]\nname = "{ungated.copy(MODEL, folder / "model")}"\n'
        # a second worker would load its network, which takes seconds of every core, for one image or two
        worker = "" if "[worker]" in extra else "[worker]\nprocesses = 1"
        self.config.write_text(
            f"""
[node]
host = "127.0.0.1"
port = {self.port}
data_dir = "{self.data_dir}"
disk_reserve_mb = 10
{processes}

[study]
quiet_seconds = {quiet_seconds}

{worker}

[delivery]
first_retry_seconds = 1
longest_retry_seconds = 2
{extra}
{model}
{peers}
"""
        )
        self.log = folder / "node.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.lines: Lines | None = None
        """What the node of this life has logged; `log` holds that of all."""

    def start(self, **environment):
        """Start it and wait until it answers a C-ECHO."""
        self.launch(**environment)
        deadline = time.monotonic() + 120
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.lines.finish()
                raise AssertionError(f"the node did not start:\n{self.log.read_text()}")
            time.sleep(0.02)  # nothing tells when a port opens
        if not self.working:
            kills.pause_worker(self)
        return self

    def launch(self, **environment):
        """Start it and wait for nothing."""
        assert self.process is None or self.process.poll() is not None, "the node's last life has not ended"
        self.log.touch()
        self.process = subprocess.Popen(
            [sys.executable, "-m", self.module, "--config", str(self.config)],
            cwd=self.tree,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,  # in our session: in one of its own nice(2) does not count here (sched(7))
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        )
        self.lines = Lines(self.process.stdout, copy=self.log)

    def _answers(self):
        with socket.socket() as probe:  # before it listens, pynetdicom would only log that it does not
            if probe.connect_ex(("127.0.0.1", self.port)) != 0:
                return False
        entity = AE(ae_title="PACS")
        entity.connection_timeout = 0.5
        entity.add_requested_context(Verification)
        association = entity.associate("127.0.0.1", self.port, ae_title="SECONDREAD")
        if association.is_established:
            association.release()
            return True
        return association.is_rejected  # it listens, PACS is a stranger to it

    def kill(self):
        """kill -9 of the whole node, its worker included."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self.lines.finish()

    def stop(self):
        """SIGTERM, as an administrator stops it; returns the exit code."""
        if self.process is None or self.process.poll() is not None:
            return None
        self.process.terminate()
        return self.ended()

    def ended(self, seconds=60):
        """Wait until it has ended by itself; returns the exit code. All that it said is in the log then."""
        code = self.process.wait(seconds)
        self.lines.finish()
        return code

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            if self.process.poll() is None:
                self.kill()


def peer(ae_title, port, **more):
    """TOML of one peer on loopback."""
    lines = [f'[[peers]]\nae_title = "{ae_title}"\nhost = "127.0.0.1"\nport = {port}']
    lines += [f"{key} = {value}" for key, value in more.items()]
    return "\n".join(lines) + "\n"
