"""What a process may take and leave behind: no core file of a crash, garbage that is collected."""

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


def test_collector_passes_over_what_was_loaded_and_goes_on():
    try:
        gc.disable()
        limits.spare_loaded_modules()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
    finally:
        gc.enable()
        gc.unfreeze()
