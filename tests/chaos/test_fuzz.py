"""Thousands of mutated mammograms through receive, analyse and report: an answer each time, and no escape.

They are received by the listener's own handler and read by a real worker with a network. What crashes the
worker is parked after two tries, which counts as survived; an exception that nobody foresaw does not.
"""

import json
import os
import queue
import random
import time
import types
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import select

from scp import logs
from scp.configuration.sections import Log, Model
from scp.receiving.admission import Admission
from scp.receiving.listener import Listener
from scp.working.supervisor import Supervisor
from storage.database import schema
from storage.records import JobKind
from storage.states import LIVE, JobState
from tests.support import audit, logging_state, model_folder, mutation_seeds, mutations
from tests.support.in_process import InProcessNode
from tests.support.kills import worker_of
from tests.support.mammograms import mammogram
from tests.support.uncounted import UNCOUNTED, UNCOUNTED_CALLS

CASES = int(os.environ.get("SECONDREAD_FUZZ_CASES", "80"))
SEED = int(os.environ.get("SECONDREAD_CHAOS_SEED", "1"))
BATCH = max(1, min(100, CASES // 4))
ANSWERS = frozenset({0x0000, 0xA900, 0xC000})
"""Kept, of another kind, unreadable. 0x0110 would be a fault of the node."""
GROWTH = 150_000_000
"""Bytes that a process may grow by after its first batch: caches and arenas, not what each case leaves."""
LATE_GROWTH = 60_000_000
"""The same in the second half of its life, when caches are full: a leak goes on."""

pytestmark = [
    pytest.mark.timeout(600 + CASES),
    pytest.mark.filterwarnings("ignore"),  # pydicom warns of what was done to the data sets
]


class Fuzzed:
    """One node: the listener's handler, a worker process with a small network, and a hand on the clock."""

    def __init__(self, folder):
        model = model_folder.make(folder / "model")
        self.node = InProcessNode(folder)
        settings = self.node.settings.model_copy(
            update={"model": Model(name=str(model)), "log": Log(level="error")}
        )
        self._handler = Listener(
            settings=settings,
            receiver=self.node.receiver,
            admission=Admission(settings),
            association_ended=lambda: None,
            refusals=UNCOUNTED,
            calls=UNCOUNTED_CALLS,
        )
        self._announced = queue.Queue()
        self.supervisor = Supervisor(
            number=1,
            loaded=lambda: None,
            settings=settings,
            database=self.node.database,
            finished=lambda: self._announced.put(1),
            now=lambda: datetime.now(UTC),
        )
        self.supervisor.start()

    def close(self):
        self.supervisor.stop(10)
        self.node.close()

    def answer(self, data):
        """Have the bytes of a file received as from the network; return the status."""
        path = self.node.archive.incoming / "received.dcm"
        path.write_bytes(data)
        primitive = types.SimpleNamespace(calling_ae_title="PACS", called_ae_title="SECONDREAD")
        requestor = types.SimpleNamespace(primitive=primitive, address="127.0.0.1")
        event = types.SimpleNamespace(
            dataset_path=path,
            request=types.SimpleNamespace(AffectedSOPInstanceUID="1.2"),
            assoc=types.SimpleNamespace(requestor=requestor),
        )
        answer = self._handler.on_store(event)
        path.unlink(missing_ok=True)
        return int(answer.Status) if isinstance(answer, Dataset) else answer

    def work(self):
        """Wait until all that was received is analysed, and then all of it is reported."""
        self._wait_until_idle()
        self.node.now += timedelta(hours=1)
        self.node.tasks.complete_studies()
        self._wait_until_idle()

    def _wait_until_idle(self):
        self.supervisor.wake()
        while self._count(schema.jobs.c.state.in_(LIVE)):
            self._announced.get(timeout=200)

    def _count(self, condition):
        with self.node.database.read() as tx:
            return len(tx.execute(select(schema.jobs.c.id).where(condition)).all())

    def parked(self):
        """Kind, reason and trace of every parked job."""
        jobs = schema.jobs
        with self.node.database.read() as tx:
            query = select(jobs.c.kind, jobs.c.reason, jobs.c.trace).where(jobs.c.state == JobState.PARKED)
            return tx.execute(query).all()

    def memory(self):
        """Resident bytes of this process and of the worker of the moment, by name and number."""
        worker = worker_of(os.getpid())
        return {"receiver": _resident(os.getpid()), f"worker {worker}": _resident(worker)}


def _resident(pid):
    pages = int(Path("/proc", str(pid), "statm").read_text().split()[1]) if pid else 0
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def fuzzed(tmp_path):
    with logging_state.preserved():
        logs.configure(Log(level="error"))  # as a node has it: what happens to the data sets fills no memory
        running = Fuzzed(tmp_path)
        yield running
        running.close()


def grown(memory, *, late=False):
    """By how many bytes receiver and worker have grown at most, each worker counted from its own start.

    With ``late``, from the middle of its own life: one that has just been started fills its caches first.
    """
    growth = Counter(receiver=0, worker=0)
    for name in {name for sizes_by_name in memory for name in sizes_by_name}:
        sizes = [sizes_by_name[name] for sizes_by_name in memory if name in sizes_by_name]
        begin = len(sizes) // 2 if late else 0
        kind = name.split()[0]
        growth[kind] = max(growth[kind], max(sizes[begin:]) - sizes[begin])
    return growth


def one_valid_study(fuzzed, study):
    image = mammogram("R", "CC", study=study, rows=256, columns=208)
    fuzzed.node.receive(image)
    fuzzed.work()
    assert str(image.SOPInstanceUID) in audit.analysed(fuzzed.node.database)


def test_every_mutation_has_an_answer_and_none_escapes(fuzzed, capsys):
    began = time.monotonic()
    chance = random.Random(SEED)  # noqa: S311 - mutations, not secrets
    seeds = mutation_seeds.seeds()
    one_valid_study(fuzzed, "before")
    answers, faults, memory = Counter(), [], []
    for start in range(0, CASES, BATCH):
        for number in range(start, min(start + BATCH, CASES)):
            data = mutations.mutated(chance, *chance.choice(seeds), number)
            answers[status := fuzzed.answer(data)] += 1
            if status not in ANSWERS:
                faults.append(f"case {number} was answered 0x{status:04X}")
        fuzzed.work()
        memory.append(fuzzed.memory())
    one_valid_study(fuzzed, "after")
    assert not faults, f"seed {SEED}: {faults}"
    deaths = [job for job in fuzzed.parked() if job.trace is None and job.kind is JobKind.ANALYSE]
    escapes = [job for job in fuzzed.parked() if job not in deaths]
    assert not escapes, "\n".join(f"{escape.kind}: {escape.reason}\n{escape.trace}" for escape in escapes[:3])
    growth, late = grown(memory), grown(memory, late=True)
    assert max(growth.values()) < GROWTH
    assert max(late.values()) < LATE_GROWTH
    assert fuzzed.node.database.integrity() == "ok"
    figures = {
        "test": "fuzz",
        "seed": SEED,
        "cases": CASES,
        "answers": {f"0x{status:04X}": count for status, count in sorted(answers.items())},
        "decoder_crashes_parked": len(deaths),
        "escapes": 0,
        "growth_mb": {name: round(size / 1e6, 1) for name, size in growth.items()},
        "growth_late_mb": {name: round(size / 1e6, 1) for name, size in late.items()},
        "seconds": round(time.monotonic() - began),
    }
    with capsys.disabled():
        print(f"\n{json.dumps(figures)}")  # noqa: T201 - what docs/reliability.md quotes
