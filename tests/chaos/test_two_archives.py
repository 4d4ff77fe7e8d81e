"""Two real Orthancs forward the same images under identities of their own; each gets results with its own."""

import io
import os

import pydicom
import pytest
from pydicom.uid import ComprehensiveSRStorage, CTImageStorage

from tests.support.mammograms import mammogram, write
from tests.support.node_process import NodeProcess, peer
from tests.support.orthanc import Orthanc
from tests.support.peers import free_port

VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
IDENTITIES = {
    "LOCAL": {"PatientID": "LOCAL-1", "AccessionNumber": "L-1", "patient_name": "Doe^Jane"},
    "REGION": {"PatientID": "REGION-77", "AccessionNumber": "R-1", "patient_name": "Roe^Jane"},
}
COMPLETE = ["CT"] + ["MG"] * 4 + ["OT"] * 5 + ["SR"]

pytestmark = pytest.mark.skipif("SECONDREAD_CHAOS_ROUNDS" not in os.environ, reason="a long form: make chaos")


def images(folder, identity):
    """Files of four views and a foreign object, with the same pixels and UIDs in both archives."""
    foreign = mammogram(number=9, **identity)
    foreign.SOPClassUID = foreign.file_meta.MediaStorageSOPClassUID = CTImageStorage
    foreign.Modality = "CT"
    paths = [write(foreign, folder / "foreign.dcm")]
    for number, (laterality, view) in enumerate(VIEWS, 1):
        image = mammogram(laterality, view, number=number, lesion=laterality == "R", **identity)
        paths.append(write(image, folder / f"{number}.dcm"))
    return str(image.StudyInstanceUID), paths


def modalities(rows):
    return sorted(modality for modality, _, _ in rows.values())


def results(orthanc, rows):
    """What came back, as data sets."""
    ids = [instance for modality, _, instance in rows.values() if modality in {"OT", "SR"}]
    return [pydicom.dcmread(io.BytesIO(orthanc.file(instance))) for instance in ids]


def test_each_archive_gets_its_own_identity_back_however_often_both_forward(tmp_path):
    ports = {name: free_port() for name in IDENTITIES}
    with NodeProcess(tmp_path, peers="".join(peer(name, port) for name, port in ports.items())) as node:
        archives = {
            name: Orthanc(
                tmp_path / name,
                node_port=node.port,
                port=port,
                ae_title=name,
                auto_forward=True,
                OverwriteInstances=True,
            )
            for name, port in ports.items()
        }
        with archives["LOCAL"], archives["REGION"]:
            sent = {}
            for name, identity in IDENTITIES.items():
                (tmp_path / f"of {name}").mkdir()
                sent[name] = images(tmp_path / f"of {name}", identity)
            for _ in range(2):  # the second time both forward again what both have
                for name, (_, paths) in sent.items():
                    for path in paths:
                        archives[name].upload(path)
            uids = {}
            for name, (study_uid, _) in sent.items():
                orthanc = archives[name]
                rows = orthanc.wait_for(study_uid, lambda rows: modalities(rows) == COMPLETE)
                orthanc.wait_until_idle()
                came = results(orthanc, rows)
                identity = {key: value for key, value in IDENTITIES[name].items() if key != "patient_name"}
                for keyword, value in identity.items():
                    assert {str(result[keyword].value) for result in came} == {value}
                assert {str(result.PatientName) for result in came} == {IDENTITIES[name]["patient_name"]}
                assert sum(result.SOPClassUID == ComprehensiveSRStorage for result in came) == 1
                uids[name] = {result.SOPInstanceUID for result in came}
            assert uids["LOCAL"].isdisjoint(uids["REGION"])
            assert node.stop() == 0
        log = node.log.read_text()
    assert log.count("outcome=NEW") == len(VIEWS)
    assert "instance refused" not in log
