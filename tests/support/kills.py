"""Signals to the parts of a running node: kill -9, and a pause."""

import contextlib
import os
import signal
import time
from pathlib import Path


def children(pid):
    """The process ids of the children of process ``pid`` that live."""
    children_found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            continue
        if int(fields[1]) == pid and fields[0] != "Z":  # the dead are there until they are waited for
            children_found.append(int(stat.parent.name))
    return children_found


def worker_of(pid, *, named=False):
    """The process id of the worker of the node ``pid``, or None while it has none.

    ``named``: whether it has other children of Python, so that its name must tell.
    """
    unnamed = []
    for child in children(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if b"spawn_main" in Path("/proc", str(child), "cmdline").read_bytes():
                if name_of(child).startswith("worker-"):
                    return child
                unnamed.append(child)
    return None if named or not unnamed else unnamed[0]


def name_of(pid):
    """The name of process ``pid``, as ``ps`` shows it."""
    return Path("/proc", str(pid), "comm").read_text().strip()


def receivers_of(pid):
    """The process ids of those that receive beside the node ``pid``."""
    named = []
    for child in children(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if name_of(child).startswith("receiver-"):
                named.append(child)
    return named


def wait_for_worker(node, seconds=100):
    """The process id of the node's worker, once it has one."""
    deadline = time.monotonic() + seconds
    while (worker := worker_of(node.process.pid, named=node.receiving > 1)) is None:
        assert time.monotonic() < deadline, "the node has no worker"
        time.sleep(0.02)  # nothing tells when a process appears
    return worker


def kill_worker(node, seconds=100):
    """Kill the worker alone; the node starts another."""
    os.kill(wait_for_worker(node, seconds), signal.SIGKILL)


def pause_worker(node):
    """Stop the worker where it is; it does nothing until the node ends it."""
    os.kill(wait_for_worker(node), signal.SIGSTOP)


def kill_listener(node):
    """Kill the listening process alone; its worker must end by itself."""
    os.kill(node.process.pid, signal.SIGKILL)
    node.process.wait(10)


def kill_group(node):
    """Kill all of it at once, as the loss of power does."""
    node.kill()


def kill_what_is_left(node):
    """Kill the node and any worker that has outlived it, if there is anything."""
    if node.process is not None:
        with contextlib.suppress(ProcessLookupError):  # nothing is left
            node.kill()
