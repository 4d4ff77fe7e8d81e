"""A disk that fills up: stores are refused, nothing acknowledged is lost, and nobody has to help then."""

import time

import pytest
from pynetdicom.presentation import build_context

from storage.database import Database
from tests.support import audit, model_folder
from tests.support.archive_scp import ArchiveSCP, heatmaps
from tests.support.mammograms import mammogram
from tests.support.node_process import NodeProcess, peer
from tests.support.scu import associate
from tests.support.small_disk import mounted

MEGABYTES = 64

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
    made = NodeProcess(
        tmp_path / "node",
        peers=peer("PACS", pacs.port),
        data_dir=disk.folder / "data",
        extra=f'[model]\nname = "{model}"\n',
    )
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill()


def offer(node, image):
    """Store one image; return the status, None where the node broke the association off."""
    context = build_context(image.SOPClassUID, image.file_meta.TransferSyntaxUID)
    association = associate(node.port, [context])
    if not association.is_established:
        return None
    try:
        return association.send_c_store(image).get("Status")
    except RuntimeError:
        return None
    finally:
        if association.is_established:
            association.release()


def take_again(node, image, seconds=60):
    """Offer ``image`` as a modality does, until it is taken: nobody touches the node."""
    deadline = time.monotonic() + seconds
    while offer(node, image) != 0x0000:
        assert node.process.poll() is None, "the node ended"
        assert time.monotonic() < deadline, "the node does not take images again"
        time.sleep(0.2)  # a modality waits too


def about(images):
    """Whether each of ``images`` has its heatmap among what came."""
    wanted = {one.SOPInstanceUID for one in images}

    def all_there(received):
        named = {one.SourceImageSequence[0].ReferencedSOPInstanceUID for one in heatmaps(received)}
        return wanted <= named

    return all_there


def check_what_is_left(node):
    assert audit.wait_until_settled(node.data_dir, 100) == 0
    assert node.stop() == 0
    database = Database.open(node.data_dir)
    try:
        assert database.integrity() == "ok"
    finally:
        database.close()
    assert audit.orphans(node.data_dir) == []


def images_of(study, count=2):
    return [mammogram("R", "CC", study=study, number=n, rows=256, columns=208) for n in range(1, count + 1)]


def test_below_the_reserve_stores_are_refused_and_what_was_acknowledged_is_answered(node, disk, pacs):
    before, refused = images_of("before"), images_of("after")
    node.start()
    for image in before:
        assert offer(node, image) == 0x0000
    disk.fill(leave_mb=5)  # the reserve is 10
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
    assert 0x0000 not in [offer(node, image) for image in refused]
    assert node.process.poll() is None
    disk.make_room()
    for image in refused:
        take_again(node, image)
    pacs.wait_for(about(before + refused), seconds=200)
    check_what_is_left(node)
