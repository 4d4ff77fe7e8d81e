"""Where a worker finds its compiled networks, what it removes of machines that are gone, how it stops."""

import multiprocessing
import os
import socket
import time
from datetime import timedelta

from scp.configuration.sections import Node
from scp.configuration.settings import Settings
from scp.working import process
from scp.working.messages import AWAKE, FINISHED, STOP, WAKE
from storage.queue import jobs
from storage.records import JobKind
from storage.states import JobState
from tests.support.in_process import InProcessNode
from tests.support.mammograms import mammogram


def test_networks_of_machines_that_are_gone_for_long_go(tmp_path):
    networks = tmp_path / process.NETWORKS
    for name in ("gone", "there", socket.gethostname()):
        (networks / name).mkdir(parents=True)
        (networks / name / "small.0.graph").touch()
    (networks / "small.0.graph").touch()  # of a node alone, before there were roles
    for old in ("gone", socket.gethostname(), "small.0.graph"):
        os.utime(networks / old, (0, time.time() - process.UNUSED_SECONDS - 60))
    settings = Settings(node=Node(data_dir=tmp_path, role="work"))
    assert process._compiled(settings) == networks / socket.gethostname()
    assert {path.name for path in networks.iterdir()} == {"there", socket.gethostname(), "small.0.graph"}


def test_a_worker_that_waits_for_a_batch_hears_wake_ups_and_stops_at_once(tmp_path):
    node = InProcessNode(tmp_path, batch=3)
    node.receive(mammogram("R", "CC", number=1))
    worker_end, supervisor_end = multiprocessing.Pipe()
    supervisor = process._Supervisor(worker_end, node.settings)
    object.__setattr__(node.worker, "batch_wait", timedelta(hours=1))
    object.__setattr__(node.worker, "pause", supervisor.pause)
    supervisor_end.send_bytes(WAKE)
    supervisor_end.send_bytes(STOP)
    assert node.worker.step() is None
    worker_end.close()
    assert supervisor_end.recv_bytes() == AWAKE
    with node.database.read() as tx:
        assert jobs.counts(tx)[JobKind.ANALYSE][JobState.WAITING] == 1
    assert not supervisor.pause(3600)
    node.close()


def test_a_pause_without_messages_lasts_as_long_as_it_should(tmp_path):
    worker_end, supervisor_end = multiprocessing.Pipe()
    supervisor, began = process._Supervisor(worker_end, Settings()), time.monotonic()
    supervisor_end.send_bytes(WAKE)
    assert supervisor.pause(0.05)
    assert time.monotonic() - began >= 0.05


def test_stop_during_a_batch_lets_the_image_under_way_end_and_gives_the_rest_back(tmp_path):
    node = InProcessNode(tmp_path, batch=3)
    node.receive(*(mammogram("R", "CC", number=number) for number in range(1, 4)))
    worker_end, supervisor_end = multiprocessing.Pipe()
    supervisor = process._Supervisor(worker_end, node.settings)
    object.__setattr__(node.worker, "proceed", supervisor.proceed)
    supervisor_end.send_bytes(STOP)
    process._do_jobs(node.worker, supervisor, 0)
    worker_end.close()
    assert supervisor_end.recv_bytes() == FINISHED
    with node.database.read() as tx:
        states = jobs.counts(tx)[JobKind.ANALYSE]
    assert (states[JobState.DONE], states[JobState.WAITING]) == (1, 2)
    node.close()
