"""Studies fetched from real archives, Orthanc and DCMTK's dcmqrscp: by C-MOVE, C-GET and WADO-RS."""

from pathlib import Path

import pytest
from pydicom.uid import BreastTomosynthesisImageStorage

from scp.operating.fetch import AGAIN
from storage.database.engine import Database
from storage.overview import studies
from tests.support import dcmqrscp
from tests.support.command_line import CommandLine
from tests.support.mammograms import mammogram, uid, write
from tests.support.node_process import NodeProcess, peer
from tests.support.orthanc import Orthanc
from tests.support.peers import free_port, missing

VIEWS = (("R", "CC"), ("L", "MLO"))
ARCHIVES = ("ORTHANC", dcmqrscp.TITLE)
WEB = "ORTHANCWEB"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A node that runs, and two archives with four studies of two images each; Orthanc has one more."""
    folder = tmp_path_factory.mktemp("fetch")
    nodes = []
    for study in "1234":
        for number, (laterality, view) in enumerate(VIEWS, 1):
            nodes.append(mammogram(laterality, view, rows=320, columns=256, study=study, number=number))
    nodes.append(mammogram("R", "CC", rows=320, columns=256, study="1", number=9))
    nodes[-1].SOPClassUID = nodes[-1].file_meta.MediaStorageSOPClassUID = BreastTomosynthesisImageStorage
    images = [write(image, folder / f"{number}.dcm") for number, image in enumerate(nodes)]
    ports = [free_port() for _ in ("orthanc", "gone")]
    node = NodeProcess(folder / "node", peers="", quiet_seconds=60)
    with (
        dcmqrscp.dcmqrscp(
            folder / "dcmqrscp", images[:-1], destinations=[("SECONDREAD", node.port)]
        ) as dcmqr_port,
        Orthanc(
            folder / "orthanc",
            node_port=node.port,
            port=ports[0],
            plugins=[PLUGIN] if PLUGIN.exists() else [],
        ) as orthanc,
    ):
        for image in images:
            orthanc.upload(image)
        with node.config.open("a") as file:
            for name, port in zip((*ARCHIVES, "GONE"), (ports[0], dcmqr_port, ports[1]), strict=True):
                file.write(peer(name, port))
            url = f"http://127.0.0.1:{orthanc.rest_port}/dicom-web"
            file.write(f'[[peers]]\nae_title = "{WEB}"\nurl = "{url}"\n')
        with node:
            yield node


@pytest.fixture
def fetch(node, monkeypatch, capsys):
    """Call the command with words; returns how it ended."""
    command = CommandLine(monkeypatch, capsys)
    return lambda *words: command("fetch", "--config", node.config, "--json", *words)


@pytest.fixture
def stopped(node, tmp_path, monkeypatch):
    """The data directory of a node that does not run."""
    monkeypatch.setenv("SECONDREAD_NODE__DATA_DIR", str(tmp_path))
    Database.open(tmp_path).close()
    return tmp_path


def require_plugin(archive):
    if archive == WEB and not PLUGIN.exists():
        missing("Orthanc's DICOMweb plugin is not installed")


def image_count(data_dir, study):
    """Return how many images of a study a node has."""
    database = Database.open_for_reading(data_dir)
    try:
        with database.read() as tx:
            rows = studies.overview(tx, study_uid=str(uid("study", study)))
    finally:
        database.close()
    return rows[0].images if rows else 0


@pytest.mark.parametrize(("archive", "study"), [("ORTHANC", "1"), (dcmqrscp.TITLE, "2")])
def test_study_is_moved_to_the_running_node_and_skipped_afterwards(node, fetch, archive, study):
    words = ("--peer", archive, "--accession", f"ACC{study}")
    ended = fetch(*words)
    (line,) = ended.lines
    assert (line["outcome"], line["images"]) == ("fetched", 2)
    assert line["study_uid"] == str(uid("study", study))
    assert image_count(node.data_dir, study) == 2
    assert ended.code == 0
    (line,) = fetch(*words).lines
    assert (line["outcome"], line["images"]) == ("here already", 0)


@pytest.mark.parametrize("archive", [*ARCHIVES, WEB])
def test_studies_of_a_list_come_to_a_node_that_does_not_run(stopped, fetch, archive):
    require_plugin(archive)
    listed = stopped / "list.csv"
    listed.write_text(f"study_uid;accession\n{uid('study', 1)};\n;ACC3\n;ACC404\n")
    ended = fetch("--peer", archive, "--list", listed)
    assert sorted((line["outcome"], line["images"]) for line in ended.lines) == [
        ("fetched", 2),
        ("fetched", 2),
        ("never", 0),
    ]
    assert ended.lines[0]["query"] == "list.csv line 4: accession ACC404"
    assert ended.code == 1
    assert [image_count(stopped, study) for study in "13"] == [2, 2]
    assert not list((stopped / "incoming").iterdir())


@pytest.mark.parametrize("archive", [*ARCHIVES, WEB])
def test_studies_of_a_patient_and_of_a_day_are_found(stopped, fetch, archive):
    require_plugin(archive)
    of_patient = fetch("--peer", archive, "--patient", "SYN4", "--from", "2024-04-30", "--to", "2024-05-02")
    assert [line["study_uid"] for line in of_patient.lines] == [str(uid("study", 4))]
    of_days = fetch("--peer", archive, "--from", "2024-04-30", "--to", "2024-05-01")
    assert sorted(line["outcome"] for line in of_days.lines) == ["fetched"] * 3 + ["here already"]
    assert fetch("--peer", archive, "--from", "2024-05-02", "--to", "2024-05-02").lines == []


def test_node_that_is_no_move_destination_fetches_by_c_get(node, fetch, monkeypatch):
    monkeypatch.setenv("SECONDREAD_NODE__AE_TITLE", "STRANGER")
    (line,) = fetch("--peer", dcmqrscp.TITLE, "--accession", "ACC3").lines
    assert (line["outcome"], line["images"]) == ("fetched", 2)
    assert image_count(node.data_dir, "3") == 2


def test_full_disk_is_a_reason_to_try_again(stopped, fetch, monkeypatch):
    monkeypatch.setenv("SECONDREAD_NODE__DISK_RESERVE_MB", "100000000")
    ended = fetch("--peer", "ORTHANC", "--accession", "ACC3", "--accession", "ACC4")
    assert [line["outcome"] for line in ended.lines] == ["again, later"] * 2
    assert "disk reserve" in ended.lines[0]["reason"]
    assert ended.code == AGAIN


def test_peer_that_is_gone_is_a_reason_to_try_again(stopped, fetch):
    ended = fetch("--peer", "GONE", "--accession", "ACC3", "--accession", "ACC4")
    assert [line["outcome"] for line in ended.lines] == ["again, later"] * 2
    assert "nothing answers there" in ended.lines[0]["reason"]
    assert ended.code == AGAIN
