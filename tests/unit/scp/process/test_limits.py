"""What a process may take, leave behind and keep: no core file of a crash, no freed memory."""

import gc
import subprocess
import sys

import pytest

from scp.process import limits
from tests.support.node_process import ROOT

ASK = """
import ctypes, resource
from scp.process import limits
limits.forbid_core_files()
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))  # PR_GET_DUMPABLE
"""


@pytest.mark.skipif(sys.platform != "linux", reason="what a crash leaves is asked of Linux")
def test_neither_a_file_nor_a_program_gets_the_core():
    process = subprocess.run(
        [sys.executable, "-c", ASK], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert process.stdout.strip() == "(0, 0) 0"


SEND = """
import resource, threading
from scp.process import limits

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

def send(gate):
    # a block may be returned while a smaller one, younger than it, stays
    for _ in range(4):
        blocks = [bytes(9_000_000), bytes(100_000)]
        kept.append(blocks.pop()[:50_000])
    gate.wait()

limits.keep_no_freed_memory()
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


def test_collector_passes_over_what_was_loaded_and_goes_on():
    try:
        limits.put_off_collection()
        assert not gc.isenabled()
        limits.spare_loaded_modules()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
    finally:
        gc.enable()
        gc.unfreeze()
