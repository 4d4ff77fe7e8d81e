"""`status` says whether anybody analyses, not only whether anybody receives."""

import os
import subprocess
import sys

import pytest

from scp.auditing.trail import Trail
from scp.configuration.audit import Audit
from scp.configuration.sections import Node
from scp.configuration.settings import Settings
from scp.operating.health import look
from scp.operating.status import _worker, run
from scp.process import locks
from storage.database.engine import Database
from tests.support.running_node import lock_held

HOLD = """
import sys
from pathlib import Path
from scp.process import locks
with locks.worker_lock(Path(sys.argv[1]), 1):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def database(tmp_path):
    opened = Database.open(tmp_path)
    yield opened
    opened.close()


def test_messages_of_the_audit_trail_that_wait_or_are_lost_are_shown(database, tmp_path, capsys):
    settings = Settings(node=Node(data_dir=tmp_path), audit=Audit(to="tcp://127.0.0.1:1", queue=10))
    trail = Trail(settings=settings)
    for _ in range(11):
        trail.application(started=True)
    assert run(settings, as_json=False) == 0
    assert "audit messages: 10 wait to be taken, 1 are LOST" in capsys.readouterr().out


def node(database, tmp_path):
    return look(database, Settings(node=Node(data_dir=tmp_path))).node


def test_worker_that_is_ready_is_shown_with_its_process(database, tmp_path):
    with lock_held(tmp_path), locks.worker_lock(tmp_path, 1):
        health = node(database, tmp_path)
    assert health.worker_pid == os.getpid()
    assert _worker(health) == f"worker: ready (process {os.getpid()})"


def test_workers_that_are_ready_are_all_shown(database, tmp_path):
    with lock_held(tmp_path), locks.worker_lock(tmp_path, 1), locks.worker_lock(tmp_path, 2):
        health = node(database, tmp_path)
    assert _worker(health) == f"workers: 2 ready (processes {os.getpid()}, {os.getpid()})"


def test_node_whose_worker_is_loading_or_dead_says_so(database, tmp_path):
    with locks.worker_lock(tmp_path, 1):
        pass
    with lock_held(tmp_path):
        health = node(database, tmp_path)
    assert health.running
    assert health.worker_pid is None
    assert "NOT ready" in _worker(health)


def test_node_without_its_console_says_so(database, tmp_path, capsys):
    settings = Settings(node=Node(data_dir=tmp_path))
    outputs = []
    with lock_held(tmp_path):
        run(settings, as_json=False)
        outputs.append(capsys.readouterr().out)
        with locks.console_lock(tmp_path):
            run(settings, as_json=False)
            assert look(database, settings).node.console_running
        outputs.append(capsys.readouterr().out)
    run(settings, as_json=False)
    outputs.append(capsys.readouterr().out)
    assert ["console: NOT running" in output for output in outputs] == [True, False, False]


def test_killed_worker_is_seen_to_be_gone(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        assert locks.worker_pids(tmp_path) == (holder.pid,)
    finally:
        holder.kill()
        holder.communicate()
    assert locks.worker_pids(tmp_path) == ()


def test_worker_does_not_wait_for_one_that_is_ending(tmp_path):
    with lock_held(tmp_path, locks.WORKER_LOCKS.format(1)), locks.worker_lock(tmp_path, 1):
        assert locks.worker_pids(tmp_path) == (os.getpid(),)


def test_what_is_coming_in_is_shown(database, tmp_path, capsys):
    settings = Settings(node=Node(data_dir=tmp_path))
    (tmp_path / "incoming").mkdir(exist_ok=True)
    (tmp_path / "incoming" / "x").write_bytes(bytes(1_500_000))
    disk = look(database, settings).disk
    assert (disk.incoming, disk.incoming_mb) == (1, 1.5)
    run(settings, as_json=False)
    assert "1 files with 1.5 MB are coming in" in capsys.readouterr().out
