"""The customer's picture: Orthanc forwards, the node answers into the same study of the same Orthanc."""

import json
import subprocess
import sys
import time

import pytest
from pydicom.uid import ComprehensiveSRStorage

from tests.support.dcmtk import dcmtk
from tests.support.mammograms import mammogram, write
from tests.support.node_process import ROOT, WHOLE, NodeProcess, peer
from tests.support.orthanc import Orthanc
from tests.support.peers import free_port

VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))


@pytest.fixture
def images(tmp_path):
    return written_views(tmp_path, study="1")


def written_views(folder, study):
    """The UID of a study of four views, and their files."""
    paths = []
    for number, (laterality, view) in enumerate(VIEWS, 1):
        image = mammogram(laterality, view, number=number, study=study, lesion=laterality == "R")
        paths.append(folder / f"{study}{laterality}{view}.dcm")
        write(image, paths[-1])
    return str(image.StudyInstanceUID), paths


def modalities(rows):
    return sorted(modality for modality, _, _ in rows.values())


COMPLETE = ["MG"] * 4 + ["OT"] * 5 + ["SR"]


def test_auto_forwarded_study_gets_its_results_in_the_same_study(tmp_path, images):
    study_uid, paths = images
    port = free_port()
    with (
        NodeProcess(tmp_path, peers=peer("ORTHANC", port), quiet_seconds=WHOLE) as node,
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
        assert len(series["SR"]) == 1
        assert 2 <= len(series["OT"]) <= 3  # heatmaps, what has no region, and the summary
        # Orthanc forwarded our results back to us as well: dropped with success, nothing was made of them
        assert modalities(orthanc.instances(study_uid)) == COMPLETE


PLACES = {"first": 0, "in the middle": 2, "last": 4}
"""How many of the four views go before the foreign objects."""


def not_kept(node):
    """Return how many objects of each class were not kept."""
    return {row["sop_class_uid"]: row["objects"] for row in status(node)["not_kept"]}


@pytest.mark.parametrize("way", ["auto-forward", "store job", "C-MOVE"])
def test_eleven_kinds_of_foreign_objects_do_not_stop_the_mammograms(tmp_path, way):
    port = free_port()
    with (
        NodeProcess(tmp_path, peers=peer("ORTHANC", port), working=False) as node,
        Orthanc(
            tmp_path / "orthanc", node_port=node.port, auto_forward=way == "auto-forward", port=port
        ) as orthanc,
    ):
        for number, (place, before) in enumerate(PLACES.items(), 1):
            study_uid, views = written_views(tmp_path, study=place)
            foreign_paths = [
                write(foreign_object, tmp_path / f"{place}{order}.dcm")
                for order, foreign_object in enumerate(foreign_objects(study=place), 1)
            ]
            paths = [*views[:before], *foreign_paths, *views[before:]]
            ids = [orthanc.upload(path)["ID"] for path in paths]
            if way == "store job":
                assert orthanc.store({"Resources": ids})["State"] == "Success"
            elif way == "C-MOVE":
                command = [dcmtk("movescu"), "-S", "-aet", "ANYBODY", "-aec", "ORTHANC", "-aem", "SECONDREAD"]
                keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study_uid}"]
                subprocess.run([*command, *keys, "127.0.0.1", str(port)], check=True, timeout=90)
            node.lines.wait_for("outcome=NEW", times=4 * number)
            orthanc.wait_until_idle()
            deadline = time.monotonic() + 60
            while not_kept(node) != dict.fromkeys(FOREIGN, number):
                assert time.monotonic() < deadline, not_kept(node)
                time.sleep(0.2)  # they are counted in memory, and written a moment later
        node.stop()
        log = node.log.read_text()
    assert "instance refused" not in log
    assert log.count("outcome=NEW") == 4 * len(PLACES)


def test_whole_study_with_results_and_a_foreign_report_can_be_stored_again(tmp_path, images):
    study_uid, paths = images
    port = free_port()
    with (
        NodeProcess(tmp_path, peers=peer("ORTHANC", port), quiet_seconds=WHOLE) as node,
        Orthanc(tmp_path / "orthanc", node_port=node.port, port=port) as orthanc,
    ):
        ids = [orthanc.upload(path)["ID"] for path in paths]
        study = orthanc.get(f"/instances/{ids[0]}/study")["ID"]
        orthanc.post("/modalities/secondread/store", study.encode())
        rows = orthanc.wait_for(study_uid, lambda rows: modalities(rows) == COMPLETE)
        foreign = tmp_path / "foreign.dcm"
        write(foreign_report(mammogram("R", "CC")), foreign)
        orthanc.upload(foreign)
        job = orthanc.post("/modalities/secondread/store", {"Resources": [study], "Synchronous": True})
        assert job["InstancesCount"] == len(rows) + 1
        assert job["FailedInstancesCount"] == 0
        node.stop()
        log = node.log.read_text()
        assert log.count("Comprehensive SR Storage: 1") == 1
        assert log.count("own result dropped") == 6
        assert log.count("outcome=DUPLICATE") == 4
        orthanc_rows = orthanc.instances(study_uid)
    assert modalities(orthanc_rows) == sorted([*COMPLETE, "SR"])


def status(node):
    process = subprocess.run(
        [sys.executable, "-m", "scp", "--config", str(node.config), "status", "--json"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return json.loads(process.stdout)


FOREIGN = {
    "1.2.840.10008.5.1.4.1.1.11.1": "PR",  # grey-scale presentation state
    "1.2.840.10008.5.1.4.1.1.88.59": "KO",  # key object selection
    "1.2.840.10008.5.1.4.1.1.88.67": "SR",  # radiation dose report
    "1.2.840.10008.5.1.4.1.1.88.50": "SR",  # mammography CAD
    "1.2.840.10008.5.1.4.1.1.7": "OT",  # a capture
    "1.2.840.10008.5.1.4.1.1.6.1": "US",
    "1.2.840.10008.5.1.4.1.1.3.1": "US",  # several frames
    "1.2.840.10008.5.1.4.1.1.1": "CR",
    "1.2.840.10008.5.1.4.1.1.66": "OT",  # raw data
    "1.2.840.10008.5.1.4.1.1.104.1": "DOC",  # encapsulated PDF
    "1.2.840.113619.4.27": "OT",  # a vendor's own
}
"""Eleven kinds that stand beside the views of an examination: SOP Class and Modality."""


def foreign_objects(study):
    for number, (sop_class, modality) in enumerate(FOREIGN.items(), 50):
        image = mammogram("R", "CC", study=study, number=number, rows=32, columns=32, Modality=modality)
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = sop_class
        yield image


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
