"""The customer's picture: Orthanc forwards, the node answers into the same study of the same Orthanc."""

import pytest
from pydicom.uid import ComprehensiveSRStorage

from tests.support.mammograms import mammogram, write
from tests.support.node_process import NodeProcess, peer
from tests.support.orthanc import Orthanc
from tests.support.peers import free_port

VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))


@pytest.fixture
def images(tmp_path):
    paths = []
    for number, (laterality, view) in enumerate(VIEWS, 1):
        image = mammogram(laterality, view, number=number, lesion=laterality == "R")
        paths.append(tmp_path / f"{laterality}{view}.dcm")
        write(image, paths[-1])
    return str(image.StudyInstanceUID), paths


def modalities(rows):
    return sorted(modality for modality, _, _ in rows.values())


COMPLETE = ["MG"] * 4 + ["OT"] * 4 + ["SR"]


def test_auto_forwarded_study_gets_its_results_in_the_same_study(tmp_path, images):
    study_uid, paths = images
    port = free_port()
    with (
        NodeProcess(tmp_path, peers=peer("ORTHANC", port)) as node,
        Orthanc(tmp_path / "orthanc", node_port=node.port, auto_forward=True, port=port) as orthanc,
    ):
        for path in paths:
            orthanc.upload(path)
        rows = orthanc.wait_for(study_uid, lambda rows: modalities(rows) == COMPLETE)
        series = {
            modality: {row[1] for row in rows.values() if row[0] == modality}
            for modality in ("MG", "OT", "SR")
        }
        assert not series["MG"] & (series["OT"] | series["SR"])
        assert len(series["OT"]) == len(series["SR"]) == 1
        # Orthanc forwarded our results back to us as well: dropped with success, nothing was made of them
        assert modalities(orthanc.instances(study_uid)) == COMPLETE


def test_whole_study_with_results_and_a_foreign_report_can_be_stored_again(tmp_path, images):
    study_uid, paths = images
    port = free_port()
    with (
        NodeProcess(tmp_path, peers=peer("ORTHANC", port)) as node,
        Orthanc(tmp_path / "orthanc", node_port=node.port, port=port) as orthanc,
    ):
        ids = [orthanc.upload(path)["ID"] for path in paths]
        study = orthanc.get(f"/instances/{ids[0]}/study")["ID"]
        orthanc.post("/modalities/secondread/store", study.encode())
        rows = orthanc.wait_for(study_uid, lambda rows: modalities(rows) == COMPLETE)
        foreign = tmp_path / "foreign.dcm"
        write(foreign_report(mammogram("R", "CC")), foreign)
        orthanc.upload(foreign)
        job = orthanc.post(
            "/modalities/secondread/store", {"Resources": [study], "Permissive": True, "Synchronous": True}
        )
        assert job["InstancesCount"] == len(rows) + 1
        log = node.log.read_text()
        # refused alone, the others went on
        assert log.count("not a mammogram: Comprehensive SR Storage") == 1
        assert log.count("own result dropped") == 5
        assert log.count("outcome=DUPLICATE") == 4
        orthanc_rows = orthanc.instances(study_uid)
    assert modalities(orthanc_rows) == sorted([*COMPLETE, "SR"])


def foreign_report(image):
    """Another vendor's Comprehensive SR in the study of ``image``: enough of one to be stored."""
    report = mammogram("R", "CC", number=77)
    for keyword in (
        "PixelData",
        "Rows",
        "Columns",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
    ):
        del report[keyword]
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = ComprehensiveSRStorage
    report.Modality = "SR"
    report.SeriesInstanceUID = f"{image.SeriesInstanceUID}.9"
    report.Manufacturer = "Somebody else"
    return report
