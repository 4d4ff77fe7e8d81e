"""A real PostgreSQL from Debian: one cluster for each test process, started when it is first wanted."""

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

import psycopg
from sqlalchemy import Integer

from storage.database import schema
from storage.database.engine import Database
from tests.support.peers import missing

SERVER_USER = 65534
"""PostgreSQL refuses to run as root; this is Debian's user and group for what owns nothing."""
USER = "secondread"
# words in the order of a language, as most servers have them: what the program sorts must not depend on it
LOCALE = ("--locale-provider=icu", "--icu-locale=en-US", "--locale=C.UTF-8", "--encoding=UTF8")
HASTY = {"fsync": "off", "full_page_writes": "off"}
"""What dies in most tests is a process, not the machine."""


def program(name):
    """Return the path of a server's program, which Debian keeps out of PATH."""
    candidates = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}")) or [shutil.which(name)]
    if candidates[-1] is None:
        missing("postgresql is not installed")
    return str(candidates[-1])


class Cluster:
    """A data directory and the server that runs on it, reached over a socket beside it."""

    def __init__(self, **settings):
        self.settings = settings
        self.folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
        self.process = None
        self.log = self.folder / "log"
        self.log.touch()
        if os.geteuid() == 0:
            os.chown(self.folder, SERVER_USER, SERVER_USER)
        words = (
            program("initdb"),
            "--no-sync",
            "--wal-segsize=1",
            "--auth=trust",
            f"--username={USER}",
            *LOCALE,
        )
        outcome = subprocess.run(
            self._own(*words, "--pgdata", self.folder / "data"), capture_output=True, text=True, check=False
        )
        assert outcome.returncode == 0, outcome.stderr

    def start(self):
        """Start the server and wait until it answers."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "shared_buffers": "16MB",
            "max_connections": "200",
            "min_wal_size": "4MB",  # by default 1 GB may lie in each cluster's log of changes
            "max_wal_size": "32MB",
            **self.settings,
        }
        words = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                self._own(program("postgres"), "-D", self.folder / "data", *words), stdout=log, stderr=log
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                self.connect("postgres").close()
            except psycopg.OperationalError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.02)  # nothing tells when it is ready
            else:
                return self

    def let_in(self, network):
        """Let a network in that is written as address/bits; before the start."""
        with (self.folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {network} trust\n")

    def stop(self, number=signal.SIGINT):
        """Stop it: SIGINT cuts every connection, SIGQUIT is a crash."""
        self.process.send_signal(number)
        self.process.wait(60)

    def remove(self):
        """End it and remove all that it had."""
        if self.process is not None and self.process.poll() is None:
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def connect(self, database):
        """Return a connection of the driver's own, without any transaction."""
        return psycopg.connect(
            host=str(self.folder), port=self.settings.get("port"), user=USER, dbname=database, autocommit=True
        )

    def execute(self, statement, *, database="postgres"):
        """Do one statement."""
        with contextlib.closing(self.connect(database)) as connection:
            return connection.execute(statement)

    def create(self, name, *, template="template1"):
        """Make a database, an empty one or one like ``template``, and return its url."""
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    @contextlib.contextmanager
    def database(self, name, *, template="template1"):
        """Make a database as `create` does, which is gone at the end, and return its url."""
        try:
            yield self.create(name, template=template)
        finally:
            self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def url(self, name):
        """Return the url of the database ``name``, as the configuration has it."""
        return f"postgresql+psycopg://{USER}@/{name}?host={self.folder}"

    @staticmethod
    def _own(*words):
        """Run these words as a user who may run a server, and no longer than this process."""
        user = (*(f"--{kind}={SERVER_USER}" for kind in ("reuid", "regid")), "--clear-groups")
        return ["setpriv", *(user if os.geteuid() == 0 else ()), "--pdeathsig=QUIT", *map(str, words)]


@cache
def shared():
    """Return the cluster of this test process: hasty, and gone with the process."""
    cluster = Cluster(**HASTY)
    atexit.register(cluster.remove)
    return cluster.start()


@cache
def opened(process=0):
    """Return the database as ``process`` has it open; closed, it opens again by itself.

    It is kept, because what SQLAlchemy has learnt of its statements is.
    """
    folder = Path(tempfile.mkdtemp(prefix="postgresql-files-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    database = Database.open(folder, url=_url())
    atexit.register(database.close)
    return database


def emptied():
    """Return the open database as a new one: no rows, and their numbers begin at 1."""
    database = opened()
    with contextlib.closing(database.engine.raw_connection()) as connection:
        connection.cursor().execute(_empty()).close()
    return database


@cache
def template():
    """Return the name of a database with tables and without rows, to which nobody connects."""
    url = shared().create("with_tables")
    with tempfile.TemporaryDirectory() as folder:
        Database.open(Path(folder), url=url).close()
    return "with_tables"


@cache
def _url():
    return shared().create("storage", template=template())


@cache
def _empty():
    tables = list(reversed(schema.metadata.sorted_tables))
    numbered = [
        table.name
        for table in tables
        if (column := table.autoincrement_column) is not None and isinstance(column.type, Integer)
    ]
    statements = ["BEGIN", "SET LOCAL lock_timeout = '5s'"]
    statements += [str(table.delete()) for table in tables]
    statements += [f"SELECT setval('{name}_id_seq', 1, false)" for name in numbered]
    return "; ".join([*statements, "COMMIT"])
