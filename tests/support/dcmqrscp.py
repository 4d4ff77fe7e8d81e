"""DCMTK's dcmqrscp: an archive that answers C-FIND, C-MOVE and C-GET."""

import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from tests.support.dcmtk import dcmtk
from tests.support.peers import free_port

TITLE = "DCMQR"


@contextmanager
def dcmqrscp(folder: Path, images, *, destinations):
    """Run it with the files ``images`` on a free port, which is given.

    ``destinations`` are AE titles and ports that it moves to.
    """
    (folder / "images").mkdir(parents=True)
    command = [dcmtk("dcmqridx"), str(folder / "images"), *map(str, images)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    hosts = "\n".join(f"host{port} = ({title}, 127.0.0.1, {port})" for title, port in destinations)
    port = free_port()
    configuration = folder / "dcmqrscp.cfg"
    configuration.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        f"HostTable BEGIN\n{hosts}\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\n{TITLE} {folder / 'images'} RW (200, 1024mb) ANY\nAETable END\n"
    )
    with (folder / "dcmqrscp.log").open("wb") as log:
        process = subprocess.Popen([dcmtk("dcmqrscp"), "-c", str(configuration)], stdout=log, stderr=log)
    try:
        echo = [dcmtk("echoscu"), "-aec", TITLE, "127.0.0.1", str(port)]
        deadline = time.monotonic() + 30
        while subprocess.run(echo, capture_output=True, check=False, timeout=30).returncode != 0:
            assert time.monotonic() < deadline, (folder / "dcmqrscp.log").read_text()
            time.sleep(0.05)  # nothing tells when a port opens
        yield port
    finally:
        process.kill()
        process.wait()
