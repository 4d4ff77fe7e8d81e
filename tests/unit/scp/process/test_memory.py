"""What a process does with freed memory: a worker keeps it until told otherwise, others return it."""

import platform
import subprocess
import sys
from pathlib import Path

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


START = """
import subprocess, sys
from scp.process import memory

memory.ask_for_huge_pages()
subprocess.run([sys.executable, "-c", "print(open('/proc/self/smaps').read())"], check=True)
"""
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(
    not HUGE_PAGES.exists()
    or "[madvise]" not in HUGE_PAGES.read_text()
    or tuple(int(part) for part in (platform.libc_ver()[1] or "0").split(".")) < (2, 35),
    reason="Linux gives huge pages to all or to none, or the C library does not ask for them",
)
def test_processes_that_are_started_ask_for_huge_pages():
    process = subprocess.run(
        [sys.executable, "-c", START], cwd=ROOT, check=True, capture_output=True, text=True
    )
    heap = process.stdout.partition("[heap]")[2]
    flags = heap.partition("VmFlags:")[2].partition("\n")[0].split()
    assert "hg" in flags
