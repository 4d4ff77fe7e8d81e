"""A data directory that becomes read-only while the node runs: refused, told, and nothing is lost."""

import pytest

from tests.support import model_folder
from tests.support.archive_scp import ArchiveSCP
from tests.support.node_process import NodeProcess, peer
from tests.support.offers import about, check_what_is_left, images_of, offer, take_again
from tests.support.small_disk import frail, mounted

SENTENCE = "the data directory cannot be written"
REASON = "Read-only file system"

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def pacs():
    with ArchiveSCP("PACS") as scp:
        yield scp


@pytest.fixture
def node_on(tmp_path, pacs):
    """Makes a node with a small network whose data lies in a folder; not started."""
    nodes = []

    def make(data_dir):
        model = model_folder.make(tmp_path / "model")
        place = {"peers": peer("PACS", pacs.port), "data_dir": data_dir}
        nodes.append(NodeProcess(tmp_path / "node", **place, extra=f'[model]\nname = "{model}"\n'))
        return nodes[-1]

    yield make
    for node in nodes:
        if node.process is not None and node.process.poll() is None:
            node.kill()


def refused_with_a_sentence(node, images):
    assert [offer(node, image) for image in images] == [0xA700] * len(images)
    assert node.process.poll() is None, "the node ended"
    node.lines.wait_for(SENTENCE, times=len(images))
    lines = [line for line in node.log.read_text().splitlines() if SENTENCE in line]
    assert len(lines) == len(images)
    assert all(REASON in line for line in lines)


def test_node_goes_on_by_itself_when_it_may_write_again(tmp_path, node_on, pacs):
    before, refused = images_of("before"), images_of("after")
    with mounted(tmp_path / "disk", megabytes=64) as disk:
        node = node_on(disk.folder / "data").start()
        for image in before:
            assert offer(node, image) == 0x0000
        disk.forbid_writing(node.data_dir)
        refused_with_a_sentence(node, refused)
        disk.permit_writing(node.data_dir)
        for image in refused:
            take_again(node, image)
        pacs.wait_for(about(before + refused), seconds=200)
        check_what_is_left(node)


def test_file_system_that_the_kernel_has_closed_after_an_error_keeps_what_was_acknowledged(
    tmp_path, node_on, pacs
):
    before, refused = images_of("before"), images_of("after")
    with frail(tmp_path / "disk", megabytes=96) as disk:
        node = node_on(disk.folder / "data").start()
        for image in before:
            assert offer(node, image) == 0x0000
        disk.fail()
        refused_with_a_sentence(node, refused)
        assert node.stop() == 0
        node.launch()
        assert node.ended() == 1, "a node that cannot write does not start"
        assert REASON in node.log.read_text().splitlines()[-1]
        disk.repair()
        node.start()
        for image in refused:
            take_again(node, image)
        pacs.wait_for(about(before + refused), seconds=200)
        check_what_is_left(node)
