"""A modality that offers images to a node whose disk misbehaves, and looks at what became of them."""

import time

from pynetdicom.presentation import build_context

from storage.database.engine import Database
from tests.support import audit
from tests.support.archive_scp import heatmaps
from tests.support.mammograms import mammogram
from tests.support.scu import associate


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
    uids = {image.SOPInstanceUID for image in images}

    def all_there(received):
        named = {heatmap.SourceImageSequence[0].ReferencedSOPInstanceUID for heatmap in heatmaps(received)}
        return uids <= named

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
