"""Where a worker finds its compiled networks, and what it removes of machines that are gone."""

import os
import socket
import time

from scp.configuration.sections import Node
from scp.configuration.settings import Settings
from scp.working import process


def test_networks_of_machines_that_are_gone_for_long_go(tmp_path):
    networks = tmp_path / process.NETWORKS
    for name in ("gone", "there", socket.gethostname()):
        (networks / name).mkdir(parents=True)
        (networks / name / "small.0.npz").touch()
    (networks / "small.0.npz").touch()  # of a node alone, before there were roles
    for old in ("gone", socket.gethostname(), "small.0.npz"):
        os.utime(networks / old, (0, time.time() - process.UNUSED_SECONDS - 60))
    settings = Settings(node=Node(data_dir=tmp_path, role="work"))
    assert process._compiled(settings) == networks / socket.gethostname()
    assert {path.name for path in networks.iterdir()} == {"there", socket.gethostname(), "small.0.npz"}
