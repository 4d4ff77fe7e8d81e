"""What a process does with freed memory: a worker keeps it until told otherwise, others return it."""

import subprocess
import sys

import pytest

from tests.support.node_process import ROOT

ASK = """
import resource
import numpy as np
from scp.process import memory

def use():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(16_000_000, np.float32)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

memory.keep()
use()
print(use(), use())
held = resident()
memory.give_back()
print(held - resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone has these settings")
def test_pages_are_cleared_once_and_returned_when_told_to():
    process = subprocess.run(
        [sys.executable, "-c", ASK], cwd=ROOT, check=True, capture_output=True, text=True
    )
    second, third, returned = (int(word) for word in process.stdout.split())
    assert second < 100, "64 megabytes are up to 16,000 pages"
    assert third < 100
    assert returned > 60_000_000


SEND = """
import resource, threading
from scp.process import memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

def send(gate):
    # a block may be returned while a smaller one, younger than it, stays
    for _ in range(4):
        blocks = [bytes(9_000_000), bytes(100_000)]
        kept.append(blocks.pop()[:50_000])
    gate.wait()

memory.keep_none()
kept, before = [], resident()
gate = threading.Barrier(12)
threads = [threading.Thread(target=send, args=(gate,)) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone has these settings")
def test_what_threads_have_freed_is_returned():
    process = subprocess.run(
        [sys.executable, "-c", SEND], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert int(process.stdout) < 12_000_000, "12 threads had 9 MB each"
