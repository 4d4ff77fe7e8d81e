"""SIGHUP puts new peers in force in every process of a real node, and harms nothing that is under way."""

import signal

from pydicom.uid import MammographyCADSRStorage
from pynetdicom.presentation import build_context

from tests.support.archive_scp import ArchiveSCP
from tests.support.mammograms import mammogram
from tests.support.node_process import NodeProcess, peer
from tests.support.scu import associate, store


def of_class(uid):
    return lambda received: any(instance.SOPClassUID == uid for instance in received)


def test_new_peers_are_in_force_without_a_restart(tmp_path):
    images = [mammogram("R", "CC"), mammogram("L", "CC")]
    contexts = [build_context(images[0].SOPClassUID, images[0].file_meta.TransferSyntaxUID)]
    with ArchiveSCP("PACS") as pacs, ArchiveSCP("VNA") as vna:
        before = peer("PACS", pacs.port)
        with NodeProcess(tmp_path, peers=before) as node:
            open_one = associate(node.port, contexts)
            assert open_one.send_c_store(images[0]).Status == 0
            assert associate(node.port, contexts, calling="MODALITY").is_rejected
            good = node.config.read_text()
            node.config.write_text(good + peer("VNA", 70_000))
            node.process.send_signal(signal.SIGHUP)
            node.lines.wait_for("= 70000 cannot be used")
            node.config.write_text(
                good
                + peer("VNA", vna.port, objects='["cad_sr"]')
                + '[[peers]]\nae_title = "MODALITY"\nresults_to = ["VNA"]\n[log]\nformat = "json"\n'
            )
            node.process.send_signal(signal.SIGHUP)
            node.lines.wait_for("configuration reloaded")
            assert open_one.send_c_store(images[1]).Status == 0
            open_one.release()
            # the kind of result that nobody was sent before shows that the worker has followed
            store(node.port, [mammogram("R", "MLO", study="2", number=1)], calling="MODALITY")
            vna.wait_for(of_class(MammographyCADSRStorage))
            pacs.wait_for(lambda received: received)
            assert {instance.SOPClassUID for instance in vna.received} == {MammographyCADSRStorage}
            # node and worker have followed [log], too
            node.lines.wait_for('"event": "instance received"')
            node.lines.wait_for('"kind": "REPORT"')
