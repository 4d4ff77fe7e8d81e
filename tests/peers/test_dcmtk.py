"""DCMTK's own programs on both sides: storescu → node → storescp."""

import subprocess
from collections import Counter

import pydicom
import pytest

from tests.support.dcmtk import dcmtk
from tests.support.mammograms import mammogram, standard_views, write
from tests.support.node_process import WHOLE, NodeProcess, peer
from tests.support.peers import free_port
from tests.support.storescp import storescp

VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))


@pytest.fixture
def archive(tmp_path):
    with storescp(tmp_path / "archive") as server:
        yield server


def test_study_sent_by_storescu_comes_back_to_storescp(tmp_path, archive):
    paths = [write(image, tmp_path / f"{number}.dcm") for number, image in enumerate(standard_views(), 1)]
    with NodeProcess(tmp_path, peers=peer("DCMTK", archive.port), quiet_seconds=WHOLE) as node:
        command = [dcmtk("storescu"), "-aet", "DCMTK", "-aec", "SECONDREAD", "127.0.0.1", str(node.port)]
        subprocess.run([*command, *map(str, paths)], check=True)
        came = archive.wait_for(6)
        assert node.stop() == 0
    objects = [pydicom.dcmread(path) for path in came]
    assert Counter(instance.Modality for instance in objects) == {"OT": 5, "SR": 1}
    assert {instance.StudyInstanceUID for instance in objects} == {pydicom.dcmread(paths[0]).StudyInstanceUID}


def test_storescu_without_options_goes_on_behind_a_foreign_object(tmp_path, archive):
    """It stops at the first status that is a failure, unless it is told otherwise."""
    paths = []
    for number, (laterality, view) in enumerate(VIEWS, 1):
        for kind, sop_class in enumerate((None, *FOREIGN[number - 1 :: 4])):
            image = mammogram(laterality, view, number=number * 10 + kind)
            if sop_class is not None:
                image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = sop_class
            paths.append(write(image, tmp_path / f"{number}-{9 - kind}.dcm"))
    with NodeProcess(tmp_path, peers=peer("DCMTK", archive.port)) as node:
        command = [dcmtk("storescu"), "-aet", "DCMTK", "-aec", "SECONDREAD", "127.0.0.1", str(node.port)]
        subprocess.run([*command, *map(str, sorted(paths))], check=True)
        assert node.stop() == 0
        log = node.log.read_text()
    assert log.count("outcome=NEW") == 4
    assert log.count("not for this node") == 1


FOREIGN = (
    "1.2.840.10008.5.1.4.1.1.11.1",  # grey-scale presentation state
    "1.2.840.10008.5.1.4.1.1.88.59",  # key object selection
    "1.2.840.10008.5.1.4.1.1.88.67",  # radiation dose report
    "1.2.840.10008.5.1.4.1.1.88.50",  # mammography CAD
    "1.2.840.10008.5.1.4.1.1.6.1",  # ultrasound
    "1.2.840.10008.5.1.4.1.1.1",  # computed radiography
)


def test_stranger_is_rejected_and_the_log_says_how_to_admit_it(tmp_path):
    with NodeProcess(tmp_path, peers=peer("SOMEBODY", free_port())) as node:
        answer = subprocess.run(
            [dcmtk("echoscu"), "-aet", "STRANGER", "-aec", "SECONDREAD", "127.0.0.1", str(node.port)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode != 0
        node.lines.wait_for("[[peers]]")
        node.lines.wait_for('ae_title = "STRANGER"')  # written after the answer was sent
