"""How the times of a node grow with what it has kept: with so many images of history, and with a hundred.

The two are measured in turn, several rounds; ratios are of medians. What only looks into a file of SQLite is
measured in processor time, all else in time that passes.

    python bench/growth.py [--images 100000] [--database sqlite] [--rounds 5] [--backlog 5000] [--json]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client import generate_latest
from sqlalchemy import Connection, select

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench.history import IMAGES, make_history  # noqa: E402
from scp import calibration  # noqa: E402
from scp.configuration.database import DatabaseServer  # noqa: E402
from scp.configuration.sections import Node, Retention  # noqa: E402
from scp.configuration.settings import Settings  # noqa: E402
from scp.console.metrics import NodeCollector  # noqa: E402
from scp.console.pages import watch  # noqa: E402
from scp.console.pages.overview import Watch  # noqa: E402
from scp.console.process import DATABASE_CACHE_KB  # noqa: E402
from scp.console.services import Services  # noqa: E402
from scp.housekeeping import HousekeepingTasks  # noqa: E402
from scp.operating import health, waiting  # noqa: E402
from scp.operating.database import open_for_reading  # noqa: E402
from scp.schedule import ClockWatch  # noqa: E402
from storage import history  # noqa: E402
from storage.database import schema  # noqa: E402
from storage.database.engine import Database  # noqa: E402
from storage.files.folder import FolderArchive  # noqa: E402
from storage.overview import deliveries, pages, recent, studies  # noqa: E402
from storage.overview.pages import Choice  # noqa: E402
from storage.overview.search import Term  # noqa: E402
from storage.queue import arrivals  # noqa: E402
from storage.records import Job, JobKind  # noqa: E402
from storage.upkeep import clean_end, retention  # noqa: E402
from tests.support.postgresql import Cluster  # noqa: E402
from tests.unit.storage.making import STUDY, Hand, arrival  # noqa: E402

FEW = 100
PAGE = 20
AT_ONCE = 20
"""Images that are recorded and claimed for one figure."""
REPEATS = 5
"""Of what only looks."""
KINDS = ("sqlite", "postgresql")


class RolledBackError(Exception):
    """Ends a transaction that is to change nothing."""


class Measured:
    """One node with its history."""

    def __init__(self, folder: Path, images: int, now: datetime, url: str | None) -> None:
        self.settings = Settings(
            node=Node(data_dir=folder),
            retention=Retention(image_days=1, days=36_500),
            database=DatabaseServer(url=url or ""),
        )
        self.now = now
        make_history(folder, images, now, url)
        self.hand: Hand
        self.jobs: list[Job] = []
        self.studies = 0
        with contextlib.closing(self.opened()) as database, database.read() as tx:
            of_latest = select(schema.instances).order_by(schema.instances.c.received_at.desc()).limit(1)
            of_oldest = select(schema.studies.c.study_uid).order_by(schema.studies.c.last_at).limit(1)
            self.patient = str(tx.execute(of_latest).one().patient_digest)
            self.oldest = str(tx.execute(of_oldest).scalar_one())

    def opened(self, *, whole: bool = False, cache_kb: int | None = None) -> Database:
        """Return the database, open as the node has it."""
        folder, url = self.settings.node.data_dir, self.settings.database.server
        return Database.open(folder, url=url, whole=whole, cache_kb=cache_kb)

    def figures(self) -> dict[str, float]:
        """Return the seconds that each thing takes now."""
        figures = {"start_after_crash": took(self.start_after_crash), "start": took(self.start)}
        figures |= {"status": took(self.status), "studies": took(self.latest)}
        database = self.opened()
        self.hand = Hand(database, now=self.now)
        figures |= {"record": took(self.record), "claim": took(self.claim)}
        with contextlib.closing(self.opened(cache_kb=DATABASE_CACHE_KB)) as console:
            figures |= {name: self.read(console, question) for name, question in self.questions()}
            figures["calibration"] = self.look(lambda: calibration.scanners(console))
            figures["metrics_page"] = self.look(lambda: self.metrics_page(console))
        for job in self.jobs:
            self.hand.analyse(job)
        self.jobs.clear()
        figures["retention"] = self.read(database, self.look_for_old)
        figures["forget"] = took(lambda: self.forget(database))
        database.close()
        clean_end.note(self.settings.node.data_dir)
        return figures

    def questions(self) -> Iterator[tuple[str, Callable[[Connection], object]]]:
        """Give what the console asks of the rows, by name."""
        yield "console_overview", self.overview
        yield "console_day", lambda tx: recent.hours(tx, now=self.now)
        yield "console_study", self.study
        yield "console_studies", self.study_list
        for choice in Choice:
            if choice is not Choice.ALL:
                yield (
                    f"console_{choice}",
                    lambda tx, choice=choice: pages.page(tx, choice=choice, offset=0, limit=PAGE),
                )
        for name, words in {
            "uid": self.oldest,
            "part": f"{self.oldest}."[3:],
            "nothing": "P-NONE",
            "sender": "pacs",
        }.items():
            yield f"search_{name}", lambda tx, words=words: self.search(tx, Term(words=words))
        patient = Term(words="P-ABCDEF", patients=(self.patient[:8], self.patient))
        yield "search_patient", lambda tx: self.search(tx, patient)
        yield "metrics", lambda tx: recent.return_seconds(tx, now=self.now)
        yield "study_of_uid", lambda tx: studies.kept_as(tx, self.oldest)

    def read(self, database: Database, question: Callable[[Connection], object]) -> float:
        """Return the seconds of one question, the middle of several."""

        def ask() -> None:
            with database.read() as tx:
                question(tx)

        return self.look(ask)

    def look(self, action: Callable[[], object]) -> float:
        """Return the seconds of what only looks, the middle of several."""
        # a file is read by this process alone: then the time is its own, whatever else the machine does
        clock = time.perf_counter if self.settings.database.url else time.process_time
        return statistics.median(took(action, clock) for _ in range(REPEATS))

    def start_after_crash(self) -> None:
        """Start without the mark of an end in order."""
        clean_end.take(self.settings.node.data_dir)
        self.start()

    def start(self) -> None:
        """Do what a start does with database and files before it listens."""
        in_order = clean_end.take(self.settings.node.data_dir) and not self.settings.database.url
        database = self.opened(whole=not in_order)
        tasks = HousekeepingTasks(
            settings=self.settings,
            database=database,
            archive=FolderArchive(self.settings.node.data_dir),
            senders=tuple,
            wake_worker=lambda: None,
            now=lambda: self.now,
            clock=ClockWatch(),
        )
        tasks.recover()
        tasks.waive_commitments()
        database.close()
        clean_end.note(self.settings.node.data_dir)

    def status(self) -> None:
        """Gather what the command prints."""
        with open_for_reading(self.settings) as database:
            health.look(database, self.settings)

    def latest(self) -> None:
        """Gather the first page of the command ``studies``."""
        with open_for_reading(self.settings) as database:
            with database.read() as tx:
                rows = studies.overview(tx, limit=PAGE + 1)
            waiting.of_studies(database, self.settings, rows, now=self.now)

    def record(self) -> None:
        """Take in images of new studies."""
        self.studies += 1
        for number in range(AT_ONCE):
            study = f"{STUDY}.9{self.studies}.{number // IMAGES}"
            self.hand.receive(arrival(number % IMAGES, study=study))

    def claim(self) -> None:
        """Claim what was recorded."""
        for _ in range(AT_ONCE):
            self.jobs.append(self.hand.claimed())

    def forget(self, database: Database) -> None:
        """Remove the rows of one old study; they are there again afterwards."""
        with contextlib.suppress(RolledBackError), database.write() as tx:
            (forgotten,) = retention.expired(tx, before=self.now, limit=1)
            retention.unneeded(tx, forgotten)
            raise RolledBackError

    def overview(self, tx: Connection) -> None:
        """Ask what the console's first page asks beside ``status``."""
        recent.studies_since(tx, self.now - timedelta(days=1))
        recent.bytes_a_day(tx, now=self.now)

    def study(self, tx: Connection) -> None:
        """Ask for the page of one study."""
        studies.overview(tx, study_uid=self.oldest)
        deliveries.of_study(tx, self.oldest)
        deliveries.current_results(tx, self.oldest)
        history.of(tx, self.oldest)
        arrivals.images(tx, self.oldest)

    def metrics_page(self, database: Database) -> None:
        """Gather all that is given out as metrics."""
        archive = FolderArchive(self.settings.node.data_dir)
        node = Services(settings=self.settings, database=database, archive=archive, uploads=None)
        generate_latest(watch.registry_of(NodeCollector(node, Watch(node))))

    def study_list(self, tx: Connection) -> None:
        """Ask for the console's first page of studies."""
        uids = [study.study_uid for study in pages.page(tx, offset=0, limit=PAGE).studies]
        pages.senders(tx, uids)
        pages.patient_digests(tx, uids)
        pages.flags(tx, uids)

    def search(self, tx: Connection, term: Term) -> None:
        """Look for studies as the console's list does."""
        pages.page(tx, term=term, offset=0, limit=PAGE)

    def look_for_old(self, tx: Connection) -> None:
        """Look for studies and pixels whose time is over: there are none."""
        long_ago = datetime(2, 1, 1, tzinfo=UTC)
        retention.expired(tx, before=long_ago, limit=5)
        retention.with_pixels(tx, before=long_ago, promised_since=long_ago)


def drain(database: Database, images: int, now: datetime) -> dict[str, float]:
    """Record a backlog, then finish it: seconds of the last tenth / the first, and memory likewise.

    All is done that a worker and who sends do: analyses, reports, deliveries; each commit waits for the disk.
    """
    hand = Hand(database, now=now)
    for number in range(images):
        hand.receive(arrival(number % IMAGES, study=f"{STUDY}.{number // IMAGES}"))
    seconds, memory = [], []
    for _ in range(10):
        started = time.perf_counter()
        for _ in range(images // 10):
            finish_one(hand)
        seconds.append(time.perf_counter() - started)
        memory.append(resident())
    return {"seconds": seconds[-1] / seconds[0], "memory": memory[-1] / memory[0]}


def finish_one(hand: Hand) -> None:
    """Finish the analysis of one image, and each study that is whole with it: report, then sending."""
    while (job := hand.claimed()).kind is JobKind.REPORT:
        report(hand, job)
    hand.analyse(job)
    hand.ask_for_reports()


def report(hand: Hand, job: Job) -> None:
    """Report a study and send its results."""
    hand.report(
        job, *(f"{job.study_uid}.8.{number}" for number in range(IMAGES)), document=f"{job.study_uid}.9"
    )
    hand.send_all()


def resident() -> int:
    """Return the pages of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1])


def took(action: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the seconds of one call, by ``clock``."""
    started = clock()
    action()
    return clock() - started


@contextlib.contextmanager
def places(kind: str) -> Iterator[Callable[[str], tuple[Path, str | None]]]:
    """Give what makes a data directory and an empty database, each with a name."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        cluster = None
        if kind == "postgresql":
            # as Debian installs it: commits wait for the disk
            cluster = Cluster(shared_buffers="128MB", max_wal_size="1GB")
            stack.callback(cluster.remove)
            cluster.start()

        def make(name: str) -> tuple[Path, str | None]:
            return Path(folder) / name, cluster and cluster.create(name)

        yield make


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--database", choices=KINDS, default=KINDS[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backlog", type=int, default=5000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    now = datetime.now(UTC)
    with places(arguments.database) as make:
        sizes = (FEW, arguments.images)
        nodes = [
            Measured(folder, images, now, url)
            for images, (folder, url) in zip(sizes, map(make, ("few", "many")), strict=True)
        ]
        rounds = [[node.figures() for node in nodes] for _ in range(arguments.rounds + 1)][1:]
        folder, url = make("backlog")
        with contextlib.closing(Database.open(folder, url=url)) as database:
            backlog = {
                name: round(ratio, 2) for name, ratio in drain(database, arguments.backlog, now).items()
            }
    medians = [
        {name: statistics.median(figures[number][name] for figures in rounds) for name in rounds[0][0]}
        for number in range(len(nodes))
    ]
    ratios = {name: round(medians[1][name] / seconds, 2) for name, seconds in medians[0].items()}
    if arguments.json:
        print(json.dumps({"ratios": ratios, "backlog": backlog}))
        return
    print(f"a backlog of {arguments.backlog} images, its last tenth / its first: {backlog['seconds']:.2f} x")
    print(f"memory at its end / its beginning: {backlog['memory']:.2f} x")
    for name, ratio in ratios.items():
        few, many = 1000 * medians[0][name], 1000 * medians[1][name]
        print(f"{name:19} {few:8.1f} ms of {FEW} images {many:8.1f} ms of {arguments.images}: {ratio:.2f} x")


if __name__ == "__main__":
    main()
