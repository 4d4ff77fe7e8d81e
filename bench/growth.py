"""How the times of a node grow with what it has kept: with so many images of history, and with a hundred.

One study is written by the storage room's own functions, then copied row by row, twelve hours apart, so
that a day holds the same in both; no figure reads their files, which are not made. The two are measured in
turn, several rounds; ratios are of medians. Starts are those after an end in order.

    python bench/growth.py [--images 100000] [--rounds 5] [--backlog 5000] [--json]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, Integer, Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scp.configuration.sections import Node, Retention  # noqa: E402
from scp.configuration.settings import Settings  # noqa: E402
from scp.housekeeping import HousekeepingTasks  # noqa: E402
from scp.operating import health, waiting  # noqa: E402
from scp.operating.database import open_for_reading  # noqa: E402
from scp.schedule import ClockWatch  # noqa: E402
from storage.database import schema  # noqa: E402
from storage.database.columns import Instant  # noqa: E402
from storage.database.engine import Database  # noqa: E402
from storage.database.sqlite.backend import NAME  # noqa: E402
from storage.files.folder import FolderArchive  # noqa: E402
from storage.overview import pages, recent, studies  # noqa: E402
from storage.records import Job  # noqa: E402
from storage.upkeep import clean_end, retention  # noqa: E402
from tests.unit.storage.making import STUDY, Hand, arrival, breast, open_hastily  # noqa: E402

FEW = 100
IMAGES = 4
"""In a study."""
APART = timedelta(hours=12)
PAGE = 20
AT_ONCE = 20
"""Images that are recorded and claimed for one figure."""
HOUR = timedelta(hours=1)
WORDS = {"sop_class_uid", "alternative_class_uid", "transfer_syntax_uid", "sr_sop_class_uid"}
"""Columns of UIDs that stand for a kind of thing, not for one thing."""


def copied(column: Column[Any]) -> str:
    """Return SQLite's expression for a column of study ``n`` of the copies, made from its ``original``."""
    name = f'"{column.name}"'
    if column.type is schema.UID and column.name not in WORDS:
        return f"{name} || '.' || n"
    if column.type is schema.FILE:
        folder, rest = f"substr({name}, 1, instr({name}, '/'))", f"substr({name}, instr({name}, '/') + 1)"
        return f"{folder} || printf('%02x/%d-', n % 256, n) || replace({rest}, '/', '-')"
    if column.name in {"id", "report_id", "delivery_id"} and isinstance(column.type, Integer):
        return f"{name} + 100 * n"
    if isinstance(column.type, Instant):
        return f"strftime('%Y-%m-%d %H:%M:%f', {name}, '-' || (n * {APART // HOUR}) || ' hours') || '000'"
    return name


def copy_study(connection: sqlite3.Connection, table: Table, studies: int) -> None:
    """Copy the rows of the one study so many times, each some hours earlier, indices made at the end."""
    names = ",".join(f'"{column.name}"' for column in table.columns)
    values = ",".join(map(copied, table.columns))
    indices = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL",
        (table.name,),
    ).fetchall()
    for name, _ in indices:
        connection.execute(f"DROP INDEX {name}")
    connection.execute(f"CREATE TEMP TABLE original AS SELECT * FROM {table.name}")  # noqa: S608
    connection.execute(
        f"WITH RECURSIVE study (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM study WHERE n < {studies - 1}) "  # noqa: S608
        f"INSERT INTO {table.name} ({names}) SELECT {values} FROM study CROSS JOIN original"
    )
    connection.execute("DROP TABLE original")
    for _, sql in indices:
        connection.execute(sql)


def make_history(data_dir: Path, images: int, now: datetime) -> None:
    """Write the history of so many images, all of it delivered an hour before ``now``, without its files."""
    database = Database.open(data_dir)
    hand = Hand(database, now=now - APART)
    hand.answer_study("1.2.9.2", "1.2.9.3", document="1.2.9.1", breasts=[breast(0.2), breast(0.4, "L")])
    hand.send_all()
    database.close()
    with contextlib.closing(sqlite3.connect(data_dir / NAME)) as connection:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-500000"):
            connection.execute(f"PRAGMA {pragma}").close()
        for table in set(schema.metadata.sorted_tables) - {schema.tallies}:
            copy_study(connection, table, images // IMAGES)
        connection.execute("UPDATE tallies SET number = number * ?", (images // IMAGES,))
        connection.commit()


class Measured:
    """One node with its history."""

    def __init__(self, folder: Path, images: int, now: datetime) -> None:
        self.settings = Settings(node=Node(data_dir=folder), retention=Retention(image_days=1, days=36_500))
        self.now = now
        make_history(folder, images, now)
        self.hand: Hand
        self.jobs: list[Job] = []
        self.studies = 0

    def figures(self) -> dict[str, float]:
        """Return the seconds that each thing takes now."""
        figures = {"start": took(self.start), "status": took(self.status), "studies": took(self.latest)}
        database = Database.open(self.settings.node.data_dir)
        self.hand = Hand(database, now=self.now)
        figures |= {"record": took(self.record), "claim": took(self.claim)}
        for job in self.jobs:
            self.hand.analyse(job)
        self.jobs.clear()
        for name in ("overview", "study_list", "day"):
            figures[f"console_{name}"] = self.read(database, getattr(self, name))
        figures["retention"] = self.read(database, self.look_for_old)
        database.close()
        clean_end.note(self.settings.node.data_dir)
        return figures

    def read(self, database: Database, question: Callable[[Connection], object]) -> float:
        """Return the seconds of one question."""

        def ask() -> None:
            with database.read() as tx:
                question(tx)

        return took(ask)

    def start(self) -> None:
        """Do what a start does with database and files before it listens."""
        in_order = clean_end.take(self.settings.node.data_dir)
        database = Database.open(self.settings.node.data_dir, whole=not in_order)
        tasks = HousekeepingTasks(
            settings=self.settings,
            database=database,
            archive=FolderArchive(self.settings.node.data_dir),
            senders=tuple,
            wake_worker=lambda: None,
            now=lambda: self.now,
            clock=ClockWatch(),
        )
        tasks.recover(in_order=in_order)
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

    def overview(self, tx: Connection) -> None:
        """Ask what the console's first page asks beside ``status``."""
        recent.studies_since(tx, self.now - timedelta(days=1))
        recent.bytes_a_day(tx, now=self.now)

    def day(self, tx: Connection) -> None:
        """Ask for the charts of the last day."""
        recent.hours(tx, now=self.now)

    def study_list(self, tx: Connection) -> None:
        """Ask for the console's first page of studies."""
        uids = [study.study_uid for study in pages.page(tx, offset=0, limit=PAGE).studies]
        pages.senders(tx, uids)
        pages.patient_digests(tx, uids)

    def look_for_old(self, tx: Connection) -> None:
        """Look for studies and pixels whose time is over: there are none."""
        long_ago = datetime(2, 1, 1, tzinfo=UTC)
        retention.expired(tx, before=long_ago, limit=5)
        retention.with_pixels(tx, before=long_ago, promised_since=long_ago)


def drain(folder: Path, images: int, now: datetime) -> dict[str, float]:
    """Record a backlog, then finish it: seconds of the last tenth / the first, and memory likewise.

    The database does not wait for the disk, whose times are no matter of the backlog's length.
    """
    hand = Hand(open_hastily(folder), now=now)
    for number in range(images):
        hand.receive(arrival(number % IMAGES, study=f"{STUDY}.{number // IMAGES}"))
    seconds, memory = [], []
    for _ in range(10):
        started = time.perf_counter()
        for _ in range(images // 10):
            hand.analyse(hand.claimed())
        seconds.append(time.perf_counter() - started)
        memory.append(resident())
    hand.database.close()
    return {"drain": seconds[-1] / seconds[0], "memory": memory[-1] / memory[0]}


def resident() -> int:
    """Return the pages of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1])


def took(action: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backlog", type=int, default=5000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as folder:
        sizes = (FEW, arguments.images)
        nodes = [Measured(Path(folder) / str(images), images, now) for images in sizes]
        rounds = [[node.figures() for node in nodes] for _ in range(arguments.rounds + 1)][1:]
    medians = [
        {name: statistics.median(figures[number][name] for figures in rounds) for name in rounds[0][0]}
        for number in range(len(nodes))
    ]
    ratios = {name: round(medians[1][name] / seconds, 2) for name, seconds in medians[0].items()}
    with tempfile.TemporaryDirectory() as folder:
        ratios |= {
            name: round(ratio, 2) for name, ratio in drain(Path(folder), arguments.backlog, now).items()
        }
    if arguments.json:
        print(json.dumps({"ratios": ratios}))
        return
    print(f"a backlog of {arguments.backlog} images, its last tenth / its first: {ratios.pop('drain'):.2f} x")
    print(f"memory at its end / its beginning: {ratios.pop('memory'):.2f} x")
    for name, ratio in ratios.items():
        few, many = 1000 * medians[0][name], 1000 * medians[1][name]
        print(f"{name:19} {few:8.1f} ms of {FEW} images {many:8.1f} ms of {arguments.images}: {ratio:.2f} x")


if __name__ == "__main__":
    main()
