"""A backup of the database is put in its place: what was acknowledged since is kept, and comes in again."""

import sqlite3
import subprocess
from contextlib import closing

import pytest
from pydicom.uid import RLELossless

from scp.configuration.sections import Node
from scp.configuration.settings import Settings
from scp.operating import health
from storage.archive import unclaimed
from storage.database.engine import Database
from storage.database.sqlite.backend import NAME
from storage.upkeep import retention
from tests.support.dcmtk import dcmtk
from tests.support.mammograms import mammogram
from tests.support.node_process import NodeProcess, peer
from tests.support.peers import free_port
from tests.support.scu import store

SEND_AGAIN = ("--decompress-never", "-aet", "PACS", "-aec", "SECONDREAD", "--scan-directories")
"""As docs/operating.md says."""


@pytest.fixture
def node(tmp_path):
    with NodeProcess(tmp_path, peers=peer("PACS", free_port())) as started:
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


def contents(data_dir):
    """What is known of the images, and what `status` says about the disk."""
    database = Database.open_for_reading(data_dir)
    try:
        with database.read() as tx:
            images = set(retention.last_known(tx))
        return images, health.look(database, Settings(node=Node(data_dir=data_dir))).disk
    finally:
        database.close()


def test_images_acknowledged_since_the_backup_are_kept_until_they_are_sent_again(node, tmp_path):
    before, since, squeezed, header = (
        mammogram("R", "CC"),
        mammogram("L", "CC", number=2),
        mammogram("R", "MLO", number=3),
        mammogram("L", "MLO", number=4, sop_class="1.2.840.10008.5.1.4.1.1.13.1.3"),
    )
    squeezed.compress(RLELossless, generate_instance_uid=False)
    acknowledge(node, before)
    back_up(node.data_dir, tmp_path / "backup.sqlite")
    acknowledge(node, since, squeezed, header)
    node.kill()
    put_back(tmp_path / "backup.sqlite", node.data_dir)
    node.start()
    known_uids, disk = contents(node.data_dir)
    assert known_uids == {str(before.SOPInstanceUID)}
    assert disk.unclaimed == 3
    assert "images are unclaimed" in node.log.read_text()
    command = [dcmtk("dcmsend"), *SEND_AGAIN, "127.0.0.1", str(node.port), str(node.data_dir / "unclaimed")]
    subprocess.run(command, check=True)
    known_uids, disk = contents(node.data_dir)
    assert known_uids == {str(item.SOPInstanceUID) for item in (before, since, squeezed, header)}
    assert disk.unclaimed == unclaimed(node.data_dir) == 0
