"""A report is made of what reception understood: rows decide, files give only what results copy."""

import pytest
from sqlalchemy import delete, select

from storage.database import schema
from storage.records import JobKind
from tests.support.in_process import InProcessNode
from tests.support.mammograms import mammogram, standard_views


@pytest.fixture
def node(tmp_path):
    opened = InProcessNode(tmp_path / "node")
    yield opened
    opened.close()


def forget_descriptions(node):
    """Leave the database as a version before 1.3 has left it."""
    with node.database.write() as tx:
        tx.execute(delete(schema.descriptions))


def described(node):
    with node.database.read() as tx:
        return tx.execute(select(schema.descriptions).order_by(schema.descriptions.c.sop_instance_uid)).all()


def owed_bytes(node):
    folder = node.archive.data_dir / "results"
    return sorted(file.read_bytes() for file in folder.rglob("*.dcm"))


def test_images_kept_by_an_older_version_are_described_once_and_reported_with_the_same_bytes(node, tmp_path):
    old = InProcessNode(tmp_path / "old")
    for some_node in (node, old):
        some_node.receive(*standard_views(), mammogram("R", "CC", number=5, for_processing=True))
    before = described(old)
    forget_descriptions(old)
    for some_node in (node, old):
        assert some_node.work().count(JobKind.REPORT) == 1
    assert len(before) == 5
    assert described(old) == before
    assert owed_bytes(old) == owed_bytes(node) != []
    old.close()


def test_raw_data_whose_presentation_is_there_are_not_opened_for_the_report(node):
    raw = mammogram("R", "CC", number=5, for_processing=True, AcquisitionTime="101201")
    node.receive(*standard_views(), raw)
    with node.database.read() as tx:
        file = tx.execute(
            select(schema.instances.c.file).where(schema.instances.c.sop_instance_uid == raw.SOPInstanceUID)
        ).scalar_one()
    node.archive.remove(file)
    assert node.work().count(JobKind.REPORT) == 1
    assert len(node.results_owed()) == 6
