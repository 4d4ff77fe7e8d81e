"""DCMTK's storescp as the archive that results go to."""

import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from tests.support.dcmtk import dcmtk
from tests.support.lines import PATIENCE, Lines
from tests.support.peers import free_port

TITLE = "DCMTK"


class StoreSCP:
    """Listens on ``port`` and keeps what comes as a file in ``folder``."""

    def __init__(self, folder: Path, *options: str):
        self.folder = folder
        self.port = free_port()
        self._options = options
        command = [dcmtk("storescp"), "-v", *options, "-od", str(folder), "-aet", TITLE, str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._lines = Lines(self._process.stdout)

    def wait_until_it_answers(self, seconds=60):
        command = [dcmtk("echoscu"), *self._options, "-aec", TITLE, "127.0.0.1", str(self.port)]
        deadline = time.monotonic() + seconds
        while subprocess.run(command, capture_output=True, check=False, timeout=seconds).returncode != 0:
            assert time.monotonic() < deadline
            time.sleep(0.1)  # nothing tells when a port opens

    def wait_for(self, objects, seconds=PATIENCE):
        """Return the files of so many objects, once the association is released that brought the last."""
        self._lines.wait_for("storing DICOM file", "Association Release", times=objects, seconds=seconds)
        return list(self.folder.iterdir())

    def kill(self):
        self._process.kill()
        self._process.wait()
        self._lines.finish()


@contextmanager
def storescp(folder: Path, *options: str):
    """Run storescp with ``options``, which echoscu is given as well, on a free port."""
    folder.mkdir()
    archive = StoreSCP(folder, *options)
    try:
        archive.wait_until_it_answers()
        yield archive
    finally:
        archive.kill()
