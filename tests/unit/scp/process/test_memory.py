"""Memory that was taken once is taken again without asking the system, until it is given back."""

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
