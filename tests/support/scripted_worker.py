"""Worker processes that follow a script instead of doing jobs: what starts the process is the seam.

Each stands in for `scp.working.supervisor._begin` in a process of its own, and imports no network.
"""

import os
import queue
import threading
from datetime import UTC, datetime, timedelta

from scp.configuration import sections
from scp.working import supervisor
from scp.working.messages import AWAKE, BEGIN, FINISHED, READY, STOP, WAKE
from storage.database.engine import Database
from storage.queue import jobs

EXIT_CODE = 3
SECONDS = 100
"""So long a test waits for what must come."""


def supervisor_arguments(
    node, monkeypatch, script, *, processes=1, job_timeout_seconds=SECONDS, database=None
):
    """Let workers follow ``script``; return what makes their supervisor, and the queue of finished jobs."""
    monkeypatch.setattr(supervisor, "_begin", script)
    limits = sections.Worker.model_construct(
        processes=processes, lease_seconds=60.0, job_timeout_seconds=job_timeout_seconds, job_memory_mb=100
    )
    finished = queue.Queue()
    return {
        "settings": node.settings.model_copy(update={"worker": limits}),
        "database": database or node.database,
        "finished": lambda: finished.put(1),
        "now": lambda: datetime.now(UTC),
    }, finished


def answers(settings, number, owner, pipe):
    """Answer each wake-up, then say that a job is done."""
    pipe.send_bytes(READY)
    while pipe.recv_bytes() == WAKE:
        pipe.send_bytes(AWAKE)
        pipe.send_bytes(FINISHED)


def counts(settings, number, owner, pipe):
    """Answer no wake-up; at the end write down how many came."""
    pipe.send_bytes(READY)
    wakes = 0
    while pipe.recv_bytes() != STOP:
        wakes += 1
        pipe.send_bytes(FINISHED)
    (settings.node.data_dir / "wakes").write_text(str(wakes))


def works(settings, number, owner, pipe):
    """Begin a job and never end it."""
    pipe.send_bytes(READY)
    pipe.send_bytes(BEGIN)
    threading.Event().wait()


def loads(settings, number, owner, pipe):
    """Never get ready: the network takes too long to load."""
    pipe.send_bytes(FINISHED)  # so that the test knows of this process
    threading.Event().wait()


def dies(settings, number, owner, pipe):
    """Claim a job and die of it."""
    pipe.send_bytes(READY)
    _claim(settings, owner)
    os._exit(EXIT_CODE)


def lingers(settings, number, owner, pipe):
    """Have nothing to do, and end late all the same."""
    pipe.send_bytes(READY)
    threading.Event().wait()


def hangs(settings, number, owner, pipe):
    """Claim a job and never end it, whatever the supervisor says."""
    pipe.send_bytes(READY)
    _claim(settings, owner)
    pipe.send_bytes(FINISHED)  # so that the test knows of the claim
    pipe.send_bytes(BEGIN)
    threading.Event().wait()


def _claim(settings, owner):
    database = Database.open(settings.node.data_dir)
    with database.write() as tx:
        jobs.claim(tx, owner=owner, now=datetime.now(UTC), lease=timedelta(hours=1))
    database.close()
