"""A disk that fills up: stores are refused, nothing acknowledged is lost, and nobody has to help then."""

import pytest

from tests.support import model_folder
from tests.support.archive_scp import ArchiveSCP
from tests.support.node_process import NodeProcess, peer
from tests.support.offers import about, check_what_is_left, images_of, offer, take_again
from tests.support.small_disk import mounted

MEGABYTES = 96
RESERVE = 40
"""Megabytes; the results of both images, pictures of 2048 rows among them, take less."""

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


@pytest.fixture
def disk(tmp_path):
    with mounted(tmp_path / "disk", megabytes=MEGABYTES) as small:
        yield small


@pytest.fixture
def pacs():
    with ArchiveSCP("PACS") as scp:
        yield scp


@pytest.fixture
def node(tmp_path, disk, pacs):
    """A node with a small network whose data lies on the small disk; not started."""
    model = model_folder.make(tmp_path / "model")
    node_process = NodeProcess(
        tmp_path / "node",
        peers=peer("PACS", pacs.port),
        data_dir=disk.folder / "data",
        extra=f'[model]\nname = "{model}"\n',
    )
    yield node_process
    if node_process.process is not None and node_process.process.poll() is None:
        node_process.kill()


def test_below_the_reserve_stores_are_refused_and_what_was_acknowledged_is_answered(node, disk, pacs):
    before, refused = images_of("before"), images_of("after")
    node.start(SECONDREAD_NODE__DISK_RESERVE_MB=str(RESERVE))
    for image in before:
        assert offer(node, image) == 0x0000
    disk.fill(leave_mb=RESERVE - 5)
    assert [offer(node, image) for image in refused] == [0xA700, 0xA700]
    pacs.wait_for(about(before), seconds=200)
    disk.make_room()
    for image in refused:
        take_again(node, image)
    pacs.wait_for(about(before + refused), seconds=200)
    check_what_is_left(node)


def test_full_disk_is_survived_and_left_without_help(node, disk, pacs):
    before, refused = images_of("before"), images_of("after")
    node.start(SECONDREAD_NODE__DISK_RESERVE_MB="0")  # nothing refuses before the disk itself does
    for image in before:
        assert offer(node, image) == 0x0000
    disk.fill()
    assert [offer(node, image) for image in refused] == [0xA700, 0xA700]
    assert node.process.poll() is None
    disk.make_room()
    for image in refused:
        take_again(node, image)
    pacs.wait_for(about(before + refused), seconds=200)
    check_what_is_left(node)
