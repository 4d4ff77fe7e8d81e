"""DCMTK's own programs on both sides: storescu → node → storescp."""

import subprocess
from collections import Counter

import pydicom
import pytest

from tests.support.dcmtk import dcmtk
from tests.support.mammograms import mammogram, write
from tests.support.node_process import NodeProcess, peer
from tests.support.peers import free_port
from tests.support.storescp import storescp

VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))


@pytest.fixture
def archive(tmp_path):
    with storescp(tmp_path / "archive") as made:
        yield made


def test_study_sent_by_storescu_comes_back_to_storescp(tmp_path, archive):
    paths = []
    for number, (laterality, view) in enumerate(VIEWS, 1):
        paths.append(tmp_path / f"{number}.dcm")
        write(mammogram(laterality, view, number=number), paths[-1])
    with NodeProcess(tmp_path, peers=peer("DCMTK", archive.port)) as node:
        command = [dcmtk("storescu"), "-aet", "DCMTK", "-aec", "SECONDREAD", "127.0.0.1", str(node.port)]
        subprocess.run([*command, *map(str, paths)], check=True)
        came = archive.wait_for(5, seconds=60)
        assert node.stop() == 0
    objects = [pydicom.dcmread(path) for path in came]
    assert Counter(one.Modality for one in objects) == {"OT": 4, "SR": 1}
    assert {one.StudyInstanceUID for one in objects} == {pydicom.dcmread(paths[0]).StudyInstanceUID}


def test_stranger_is_rejected_and_the_log_says_how_to_admit_it(tmp_path):
    with NodeProcess(tmp_path, peers=peer("SOMEBODY", free_port())) as node:
        answer = subprocess.run(
            [dcmtk("echoscu"), "-aet", "STRANGER", "-aec", "SECONDREAD", "127.0.0.1", str(node.port)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode != 0
        log = node.log.read_text()
        assert "[[peers]]" in log
        assert 'ae_title = "STRANGER"' in log.replace("\\", "")
