import io

import pydicom
import pytest
from highdicom import _standard_utils
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, JPEGLSLossless

from inference.results import validation
from inference.results.kinds import KINDS
from tests.support import results


@pytest.fixture(scope="module")
def finished_files(tmp_path_factory):
    """One study's objects of every kind, as their files' bytes, by kind."""
    outcomes = [results.measured(), results.failed(), results.measured(), results.measured(results.NORMAL)]
    images = [
        results.study_image(header, outcome, tmp_path_factory.mktemp("made"))
        for header, outcome in zip(results.four_views(), outcomes, strict=True)
    ]
    files = {}
    for kind in KINDS:
        for instance in results.objects(images, kinds=[kind]):
            buffer = io.BytesIO()
            instance.save_as(buffer, enforce_file_format=True)
            files.setdefault(kind.name, []).append(buffer.getvalue())
    return files


def opened(finished_files, kind):
    return pydicom.dcmread(io.BytesIO(finished_files[kind][0]))


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
def test_what_is_made_has_no_fault(finished_files, kind):
    assert [validation.faults(pydicom.dcmread(io.BytesIO(file))) for file in finished_files[kind]] == [
        []
    ] * len(finished_files[kind])


def test_of_the_tables_of_all_classes_only_those_of_ours_are_kept(finished_files):
    validation._modules_of_sent_classes.cache_clear()
    for kind in KINDS:
        validation.faults(opened(finished_files, kind.name))
    assert _standard_utils.get_module_attribute_map.cache_info().currsize == 0
    assert _standard_utils.get_iod_module_map.cache_info().currsize == 0


def test_a_type_1_attribute_must_have_a_value_and_one_of_type_2_be_there(finished_files):
    picture = opened(finished_files, "SC")
    picture.Modality = ""
    del picture.PatientName
    assert validation.faults(picture) == [
        "PatientName is missing (module patient)",
        "Modality is empty (module general-series)",
    ]


def test_faults_of_an_object_in_implicit_vr_are_named_too(finished_files):
    picture = opened(finished_files, "SC")
    del picture.BitsAllocated
    file = io.BytesIO()
    picture.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    pydicom.dcmwrite(file, picture, implicit_vr=True, little_endian=True)
    file.seek(0)
    assert any("BitsAllocated is missing" in fault for fault in validation.faults(pydicom.dcmread(file)))


def test_an_object_stays_as_it_was_read(finished_files):
    report = opened(finished_files, "SR")
    validation.faults(report)
    assert isinstance(report.get_item("ContentSequence"), RawDataElement), "it would be written slowly"


def test_a_type_1_attribute_of_an_item_must_be_there(finished_files):
    report = opened(finished_files, "SR")
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0]
    del evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPClassUID
    [fault] = validation.faults(report)
    assert fault.startswith("CurrentRequestedProcedureEvidenceSequence > ReferencedSeriesSequence > ")
    assert fault.endswith(" > ReferencedSOPClassUID is missing (module sr-document-general)")


@pytest.mark.filterwarnings("ignore:Invalid value", "ignore:The value length")
def test_uids_of_our_own_are_strict_and_those_of_sources_are_what_they_are(finished_files):
    picture = opened(finished_files, "SC")
    picture.StudyInstanceUID = "1.2.03.4"
    assert validation.faults(picture) == []
    picture.SeriesInstanceUID = "1.2.03.4"
    assert validation.faults(picture) == ["SeriesInstanceUID is no UID"]
    picture = opened(finished_files, "SC")
    picture.StudyInstanceUID = "1.2." + "3" * 64
    assert validation.faults(picture) == ["StudyInstanceUID is no UID"]


def test_the_file_names_the_object_that_it_holds(finished_files):
    picture = opened(finished_files, "SC")
    picture.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    assert validation.faults(picture) == [
        "MediaStorageSOPInstanceUID of the file is not the object's SOPInstanceUID"
    ]


def test_pixels_are_as_many_as_announced_unless_they_are_compressed(finished_files):
    picture = opened(finished_files, "SC")
    picture.Rows += 1
    [fault] = validation.faults(picture)
    assert fault.startswith("PixelData has not the ")
    picture.file_meta.TransferSyntaxUID = JPEGLSLossless
    assert validation.faults(picture) == []


def test_an_unknown_class_is_a_fault():
    assert validation.faults(Dataset()) == ["SOPClassUID names no class of objects"]


def items(report, value_type):
    return [item for item in results.content(report) if item.get("ValueType") == value_type]


def no_relation(report):
    items(report, "SCOORD")[0].ContentSequence[0].RelationshipType = "CONTAINS"


def no_meaning(report):
    items(report, "CODE")[0].ConceptCodeSequence[0].CodeMeaning = ""


def two_codes(report):
    held = items(report, "CODE")[0].ConceptCodeSequence
    held.append(held[0])


def no_unit(report):
    del items(report, "NUM")[0].MeasuredValueSequence[0].MeasurementUnitsCodeSequence


def no_text(report):
    items(report, "TEXT")[0].TextValue = ""


def half_a_point(report):
    items(report, "SCOORD")[0].GraphicData = [1.0, 2.0, 3.0]


def no_evidence(report):
    items(report, "IMAGE")[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.3"


def no_target(report):
    pointer = Dataset()
    pointer.RelationshipType, pointer.ReferencedContentItemIdentifier = "INFERRED FROM", [1, 99]
    items(report, "CODE")[0].ContentSequence = [pointer]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (no_relation, "CONTAINS allows no IMAGE below SCOORD"),
        (no_meaning, "ConceptCodeSequence has no complete code"),
        (two_codes, "ConceptCodeSequence has 2 items, not one"),
        (no_unit, "MeasurementUnitsCodeSequence has 0 items, not one"),
        (no_text, "TEXT has no TextValue"),
        (half_a_point, "SCOORD has half a point"),
        (no_evidence, "IMAGE refers to an object that the evidence does not list"),
        (no_target, "points at 1.99, where no item is"),
    ],
)
def test_a_broken_tree_is_found(finished_files, spoil, words):
    report = opened(finished_files, "SR")
    spoil(report)
    [fault] = validation.faults(report)
    assert fault.endswith(words)
    assert fault.startswith("item 1.")


def test_a_report_without_a_tree_is_a_fault(finished_files):
    report = opened(finished_files, "SR")
    del report.ContentSequence, report.ValueType
    assert "the root of the report's tree is no CONTAINER" in validation.faults(report)
