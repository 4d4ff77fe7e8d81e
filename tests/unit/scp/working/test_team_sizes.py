"""Threads of a worker: all workers share the processors, and a report's pictures fit into a job's memory."""

import pytest

from scp.configuration.sections import Outputs, Worker
from scp.configuration.settings import Settings
from scp.working import team_sizes


@pytest.mark.parametrize(("available", "workers", "computing"), [(1, 2, 1), (2, 2, 1), (2, 1, 2), (8, 2, 4)])
def test_networks_of_all_workers_share_the_processors(monkeypatch, available, workers, computing):
    monkeypatch.setattr(team_sizes.threads, "processors", lambda: available)
    assert team_sizes.of_network(Settings(worker=Worker(processes=workers))) == computing


@pytest.mark.parametrize(
    ("available", "memory_mb", "longest_side", "pictures"),
    [(2, 4000, 2048, 2), (8, 4000, 2048, 4), (8, 256, 2048, 1), (8, 4000, 8192, 1), (8, 256, 8192, 1)],
)
def test_pictures_of_a_report_fit_into_the_memory_of_a_job(
    monkeypatch, available, memory_mb, longest_side, pictures
):
    monkeypatch.setattr(team_sizes.threads, "processors", lambda: available)
    settings = Settings(worker=Worker(job_memory_mb=memory_mb), outputs=Outputs(sc_max_side=longest_side))
    assert team_sizes.of_report(settings) == pictures
