"""What a process may leave behind: a crash writes no core file."""

import subprocess
import sys

import pytest

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
