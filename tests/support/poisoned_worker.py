"""The real worker process, with an analyst whom some images poison: what starts the process is the seam."""

import ctypes
import os
import resource
import signal
import threading

import pydicom

from inference.reading import pixels
from scp.working import process
from tests.support.in_process import ScriptedAnalyst

CRASH, HANG, GREED = "crashes the decoder", "hangs the decoder", "takes all memory"
CURIOUS = "asks what a crash would leave"
PR_GET_DUMPABLE = 3


class Poisonable(ScriptedAnalyst):
    """Suffers from an image what its Series Description says."""

    def analyse(self, path, image):
        poison = pydicom.dcmread(path, stop_before_pixels=True).SeriesDescription
        if poison == CRASH:
            os.kill(os.getpid(), signal.SIGSEGV)
        if poison == HANG:
            threading.Event().wait()
        if poison == GREED:
            pixels.from_dicom(path)
        if poison == CURIOUS:
            dumpable = ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)
            path.with_suffix(".told").write_text(f"{resource.getrlimit(resource.RLIMIT_CORE)} {dumpable}")
        return super().analyse(path, image)


def begin(settings, number, owner, pipe):
    """Stand in for `scp.working.supervisor._begin`: the same process and loop without loading a network."""
    process.open_analyst = lambda *_, **__: Poisonable()
    process.NICE = 0  # no test waits for who gives way to all others
    process.main(settings, number, owner, pipe)
