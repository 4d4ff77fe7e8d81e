"""A backup of the database is put in its place: what was acknowledged since is kept, and comes in again."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from pydicom.uid import RLELossless

from scp.configuration.sections import Node
from scp.configuration.settings import Settings
from scp.operating import health
from scp.process import locks
from storage.database.engine import Database
from storage.database.sqlite.backend import NAME
from storage.files.folder import unclaimed
from storage.upkeep import restoring, retention
from tests.support import postgresql
from tests.support.dcmtk import dcmtk
from tests.support.mammograms import mammogram
from tests.support.node_process import ROOT, NodeProcess, peer
from tests.support.peers import free_port
from tests.support.scu import store

SEND_AGAIN = ("--decompress-never", "-aet", "PACS", "-aec", "SECONDREAD", "--scan-directories")
"""As docs/operating.md says."""
IN_FULL = "SECONDREAD_CHAOS_ROUNDS" in os.environ
"""`make chaos` kills the node also between the two steps of a restore: one more life, which takes seconds."""


@pytest.fixture(params=["sqlite"])
def url(request):
    """An empty database of PostgreSQL, or None: a file of SQLite."""
    if request.param == "sqlite":
        yield None
        return
    with postgresql.shared().database("restored") as empty:
        yield empty


@pytest.fixture
def node(tmp_path, url):
    extra = "" if url is None else f'[database]\nurl = "{url}"\n'
    with NodeProcess(tmp_path, peers=peer("PACS", free_port()), quiet_seconds=3600, extra=extra) as started:
        yield started


def acknowledge(node, *images):
    assert [answer.Status for answer in store(node.port, images)] == [0] * len(images)


def back_up(data_dir, file):
    with closing(sqlite3.connect(data_dir / NAME)) as source, closing(sqlite3.connect(file)) as copy:
        source.backup(copy)


def put_back(file, data_dir):
    for suffix in ("-wal", "-shm"):
        (data_dir / f"{NAME}{suffix}").unlink(missing_ok=True)
    (data_dir / NAME).write_bytes(file.read_bytes())


def contents(data_dir, url=None):
    """What is known of the images, and what `status` says about the disk."""
    database = Database.open_for_reading(data_dir, url=url)
    try:
        with database.read() as tx:
            images = {uid for uid, _ in retention.last_known(tx)}
        return images, health.look(database, Settings(node=Node(data_dir=data_dir))).disk
    finally:
        database.close()


def images():
    """Return four images, one of them compressed, one of a kind of which the header alone is kept."""
    since = [mammogram("L", "CC", number=2), mammogram("R", "MLO", number=3)]
    since[1].compress(RLELossless, generate_instance_uid=False)
    header = mammogram("L", "MLO", number=4, sop_class="1.2.840.10008.5.1.4.1.1.13.1.3")
    return mammogram("R", "CC"), *since, header


def test_images_acknowledged_since_the_backup_are_kept_until_they_are_sent_again(node, tmp_path):
    before, since, squeezed, header = images()
    acknowledge(node, before)
    back_up(node.data_dir, tmp_path / "backup.sqlite")
    acknowledge(node, since, squeezed, header)
    node.kill()
    put_back(tmp_path / "backup.sqlite", node.data_dir)
    node.start()
    node.lines.wait_for("images are unclaimed")
    known_uids, disk = contents(node.data_dir)
    assert known_uids == {str(before.SOPInstanceUID)}
    assert disk.unclaimed == 3
    call = [dcmtk("dcmsend"), *SEND_AGAIN, "127.0.0.1", str(node.port), str(node.data_dir / "unclaimed")]
    subprocess.run(call, check=True)
    known_uids, disk = contents(node.data_dir)
    assert known_uids == {str(item.SOPInstanceUID) for item in (before, since, squeezed, header)}
    assert disk.unclaimed == unclaimed(node.data_dir) == 0


def command(node, *words):
    subprocess.run(
        [sys.executable, "-m", "scp", "--config", node.config, *words], cwd=ROOT, check=True, timeout=180
    )


@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
def test_a_running_node_takes_a_backup_over_and_images_since_come_in_again(node, url, tmp_path):
    before, since, squeezed, header = images()
    acknowledge(node, before)
    command(node, "backup", tmp_path / "monday.tar")
    acknowledge(node, since, squeezed, header)
    all_uids = {str(item.SOPInstanceUID) for item in (before, since, squeezed, header)}
    process = node.process.pid

    command(node, "restore", "--replace", tmp_path / "monday.tar")
    node.lines.wait_for("a backup has taken the place of the database", "have come in again")
    assert locks.node_pid(node.data_dir) == process, (
        "the service goes on under the process id that systemd knows"
    )
    known_uids, disk = contents(node.data_dir, url)
    assert (known_uids, disk.unclaimed) == (all_uids, 0)
    if IN_FULL:
        restoring.stage(tmp_path / "monday.tar", node.data_dir, reserve=0)
        node.kill()
        node.start()
        node.lines.wait_for("a backup has taken the place of the database", "have come in again")
        known_uids, disk = contents(node.data_dir, url)
        assert (known_uids, disk.unclaimed) == (all_uids, 0)
    copies = list(node.data_dir.glob("secondread-before-restore-*.sqlite"))
    assert len(copies) == (2 if IN_FULL else 1)
    assert node.stop() == 0
