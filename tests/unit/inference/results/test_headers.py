"""Sources as hospitals really send them: nothing in a header may stop a result."""

import io
import struct
from dataclasses import replace

import pydicom
import pytest
from pydicom import config
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import Tag

from inference.options import MeasuredImage
from inference.reading import attributes
from inference.reading import mammogram as exam
from inference.reading.options import ReadingOptions
from inference.results import codes, headers, source_attributes
from tests.support import results
from tests.support.mammograms import mammogram


def from_disk(header, tmp_path):
    """Read ``header`` as the node does: from bytes."""
    path = tmp_path / "source.dcm"
    header.save_as(path, enforce_file_format=True)
    return exam.read(path)


def broken(tmp_path, **values):
    """A mammogram with values that their representations forbid."""
    header = mammogram()
    for keyword, value in values.items():
        tag = Tag(keyword)
        vr = pydicom.datadict.dictionary_VR(tag)
        header[tag] = DataElement(tag, vr, value, validation_mode=config.IGNORE)
    return from_disk(header, tmp_path)


def result_of(source, tmp_path):
    """All objects of one image (report, summary, heatmap), written and read again."""
    finding = results.measured()
    layers = results.study_image(mammogram(), finding, tmp_path).layers
    image = MeasuredImage(source=source, finding=finding, analysed_at=results.ANALYSED_AT, layers=layers)
    read = []
    for instance in results.objects([image]):
        file = io.BytesIO()
        instance.save_as(file, enforce_file_format=True)
        file.seek(0)
        read.append(pydicom.dcmread(file))
    return read


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientBirthDate", "1960-01-02"),
        ("PatientBirthDate", "19601399"),
        ("StudyDate", "2024/05/01"),
        ("StudyTime", "2561"),
        ("PatientAge", "64"),
        ("PatientSex", "female!"),
        ("AcquisitionDate", "yesterday"),
        ("AcquisitionTime", "noon"),
        ("TimezoneOffsetFromUTC", "CET"),
        ("TimezoneOffsetFromUTC", "+9900"),
        ("LossyImageCompression", "maybe"),
    ],
)
def test_malformed_value_is_left_out(tmp_path, keyword, value):
    for instance in result_of(broken(tmp_path, **{keyword: value}), tmp_path):
        assert instance.get(keyword) in (None, "", "00") or keyword == "TimezoneOffsetFromUTC"
        assert instance.PatientID == "SYN1"


@pytest.mark.parametrize(
    ("keyword", "value", "written"),
    [
        ("StudyDate", "2024.05.01", "20240501"),
        ("PatientBirthDate", "1960.01.02", "19600102"),
        ("StudyTime", "10:11:12", "101112"),
        ("StudyTime", "10:11:12.5", "101112.5"),
    ],
)
def test_dates_and_times_of_acr_nema_are_kept(tmp_path, keyword, value, written):
    for instance in result_of(broken(tmp_path, **{keyword: value}), tmp_path):
        assert instance[keyword].value == written


def item_with(**attributes):
    dataset = pydicom.Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


CODE = {"CodeValue": "24606-6", "CodingSchemeDesignator": "LN", "CodeMeaning": "Mammogram"}


@pytest.mark.parametrize(
    ("keyword", "whole", "lacking"),
    [
        ("ProcedureCodeSequence", CODE, "CodeValue"),
        ("ProcedureCodeSequence", CODE, "CodingSchemeDesignator"),
        ("ProcedureCodeSequence", CODE, "CodeMeaning"),
        ("OtherPatientIDsSequence", {"PatientID": "77", "TypeOfPatientID": "TEXT"}, "PatientID"),
        ("OtherPatientIDsSequence", {"PatientID": "77", "TypeOfPatientID": "TEXT"}, "TypeOfPatientID"),
        ("IssuerOfAccessionNumberSequence", {"LocalNamespaceEntityID": "RIS"}, "LocalNamespaceEntityID"),
        (
            "IssuerOfPatientIDQualifiersSequence",
            {"UniversalEntityID": "1.2.3", "UniversalEntityIDType": "ISO"},
            "UniversalEntityIDType",
        ),
    ],
)
def test_items_without_what_they_must_have_are_left_out(tmp_path, keyword, whole, lacking):
    poor = {name: value for name, value in whole.items() if name != lacking}
    attributes = headers.patient_and_study(
        from_disk(mammogram(**{keyword: [item_with(**poor), item_with(**whole)]}), tmp_path)
    )
    assert [
        dict(zip(whole, [item[name].value for name in whole], strict=True)) for item in attributes[keyword]
    ] == [whole]
    alone = from_disk(mammogram(**{keyword: [item_with(**poor), pydicom.Dataset()]}), tmp_path)
    assert keyword not in headers.patient_and_study(alone)


@pytest.mark.parametrize(
    ("declared", "name", "encoding", "site"),
    [
        ("ISO_IR 192", "M\u00fcller^Zo\u00eb", "latin-1", ""),
        (None, "M\u00fcller^Zo\u00eb", "utf-8", ""),
        ("ISO_IR 6", "M\u00fcller^Zo\u00eb", "utf-8", "cp1251"),
        (None, "M\u00fcller^Zo\u00eb", "latin-1", ""),
        (None, "\u0418\u0432\u0430\u043d\u043e\u0432\u0430^\u0410", "cp1251", "cp1251"),
        ("ISO_IR 192", "\u0418\u0432\u0430\u043d\u043e\u0432\u0430^\u0410", "cp1251", "cp1251"),
        ("ISO_IR 100", "M\u00fcller^Zo\u00eb", "latin-1", "cp1251"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_names_in_other_bytes_than_declared_are_kept(tmp_path, declared, name, encoding, site):
    raw = name.encode(encoding)
    raw += b" " * (len(raw) % 2)
    path = tmp_path / "source.dcm"
    header = mammogram(
        patient_name="X" * len(raw),
        SpecificCharacterSet=declared,
        ProcedureCodeSequence=[item_with(**{**CODE, "CodeMeaning": "Y" * len(raw)})],
    )
    header.save_as(path, enforce_file_format=True)
    data = path.read_bytes().replace(b"X" * len(raw), raw).replace(b"Y" * len(raw), raw)
    path.write_bytes(data)
    options = ReadingOptions(character_set=site)
    source = exam.read(path, options)
    copied = headers.patient_and_study(source)
    assert str(copied.PatientName) == name
    assert copied.ProcedureCodeSequence[0].CodeMeaning.strip() == name
    again = exam.reopen(path, exam.read(path, options).description, options)
    assert again.study_digest == source.study_digest


@pytest.mark.parametrize("value", ["0.15", "0\\0", "-1\\0.1", "1e999\\1"])
def test_useless_spacing_is_left_out(tmp_path, value):
    source = broken(tmp_path, ImagerPixelSpacing=value.split("\\"))
    assert "111026" not in str(result_of(source, tmp_path)[0])


def test_number_that_is_none_does_not_stop_a_result(tmp_path):
    header = mammogram()
    plain = tmp_path / "plain.dcm"
    header.save_as(plain, enforce_file_format=True)
    data = plain.read_bytes()
    good = struct.pack("<HH2sH", 0x0018, 0x1164, b"DS", 10) + b"0.15\\0.15 "
    assert good in data
    plain.write_bytes(data.replace(good, good[:8] + b"wide\\high "))
    assert len(result_of(exam.read(plain), tmp_path)) == 3


def test_long_identifiers_are_kept_as_they_are(tmp_path):
    long = "X" * 70
    for instance in result_of(
        broken(tmp_path, PatientID=long, AccessionNumber="ACC-with-more-than-16-characters"), tmp_path
    ):
        with attributes.tolerant():
            assert instance.PatientID == long
            assert instance.AccessionNumber == "ACC-with-more-than-16-characters"


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Müller^Zoë"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("ISO_IR 144", "\u041b\u044e\u043a^\u0421"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        ("ISO_IR 192", "Ωmega^Ünïcode"),
    ],
)
def test_names_are_written_again_as_utf_8(tmp_path, charset, name):
    source = from_disk(
        mammogram(patient_name=name, SpecificCharacterSet=charset, StudyDescription="Zoë"[:2]), tmp_path
    )
    for instance in result_of(source, tmp_path):
        assert instance.SpecificCharacterSet == "ISO_IR 192"
        assert str(instance.PatientName) == name
        assert name.encode() in instance["PatientName"].value.encode(["utf8"])


def test_unknown_character_set_and_broken_bytes_do_not_stop_a_result(tmp_path):
    header = mammogram(patient_name="Muller^Zoe")
    path = tmp_path / "source.dcm"
    header.save_as(path, enforce_file_format=True)
    path.write_bytes(
        path.read_bytes().replace(b"Muller^Zoe", b"M\xfcller^Zo\xeb").replace(b"ISO_IR 192", b"ISO_IR 999")
    )
    with attributes.tolerant():
        source = exam.read(path)
    assert len(result_of(source, tmp_path)) == 3


def test_type_2_attributes_are_written_empty_where_the_source_has_none(tmp_path):
    names = (
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "ReferringPhysicianName",
        "StudyID",
    )
    source = from_disk(mammogram(**dict.fromkeys(names)), tmp_path)
    for instance in result_of(source, tmp_path):
        assert all(name in instance and not instance[name].value for name in names)


def test_patient_and_study_are_copied_whole(tmp_path):
    other_dataset = pydicom.Dataset()
    other_dataset.PatientID, other_dataset.IssuerOfPatientID, other_dataset.TypeOfPatientID = (
        "77",
        "ELSEWHERE",
        "TEXT",
    )
    source = from_disk(
        mammogram(OtherPatientIDsSequence=[other_dataset], TimezoneOffsetFromUTC="-0300"), tmp_path
    )
    copied = headers.patient_and_study(source)
    assert copied.OtherPatientIDsSequence[0].PatientID == "77"
    assert copied.TimezoneOffsetFromUTC == "-0300"
    for keyword in ("PatientName", "IssuerOfPatientID", "PatientAge", "StudyInstanceUID", "StudyDescription"):
        assert copied[keyword].value == source.header[keyword].value


def test_retired_other_patient_ids_come_as_the_sequence_that_archives_read(tmp_path):
    """A value that the sequence lists already is not listed twice."""
    listed = item_with(PatientID="77", TypeOfPatientID="TEXT", IssuerOfPatientID="ELSEWHERE")
    retired = {"OtherPatientIDs": ["77", " 88", "88", ""]}
    copied = headers.patient_and_study(
        from_disk(mammogram(OtherPatientIDsSequence=[listed], **retired), tmp_path)
    )
    assert [item.PatientID for item in copied.OtherPatientIDsSequence] == ["77", "88"]
    assert copied.OtherPatientIDsSequence[0].IssuerOfPatientID == "ELSEWHERE"
    assert copied.OtherPatientIDsSequence[1].TypeOfPatientID == "TEXT"
    assert "OtherPatientIDs" not in copied
    alone = headers.patient_and_study(from_disk(mammogram(OtherPatientIDs="99"), tmp_path))
    assert [item.PatientID for item in alone.OtherPatientIDsSequence] == ["99"]


def test_all_objects_agree_even_where_the_sources_do_not(tmp_path):
    sources = [mammogram("R", StudyDescription="one"), mammogram("L", number=2, StudyDescription="two")]
    images = [results.study_image(source, results.measured(), tmp_path) for source in sources]
    assert len({instance.StudyDescription for instance in results.objects(images)}) == 1


def requested_procedure(tmp_path):
    """A source that names the request that it answers."""
    request = pydicom.Dataset()
    request.RequestedProcedureID, request.ScheduledProcedureStepID = "P1", "S1"
    return from_disk(
        mammogram(RequestAttributesSequence=[request], AccessionNumber="ACC1", StudyID="7"), tmp_path
    )


def test_report_names_the_request_that_its_source_answers(tmp_path):
    """IHE AIR, RAD-136: Referenced Request Sequence (PS3.3 C.17.2)."""
    source = requested_procedure(tmp_path)
    report = result_of(source, tmp_path)[0]
    [request] = report.ReferencedRequestSequence
    assert request.RequestedProcedureID == "P1"
    assert request.AccessionNumber == "ACC1"
    assert request.StudyInstanceUID == source.header.StudyInstanceUID


@pytest.mark.parametrize("changed", [{"version": "2"}, {"weights_sha256": "f" * 64}, {"name": "other"}])
def test_device_uid_of_the_network_changes_with_it(tmp_path, changed):
    """IHE AIR: the device that analysed, told from its next version; the node stays the equipment."""
    [image] = [results.study_image(mammogram(), results.measured(), tmp_path)]

    def network_uids(model):
        objects = results.objects([image], identity=model)
        assert {instance.DeviceUID for instance in objects} == {results.DEVICE.uid}
        return {instance.ContributingEquipmentSequence[0].DeviceUID for instance in objects}

    [before] = network_uids(results.MODEL)
    [after] = network_uids(replace(results.MODEL, **changed))
    assert before != after


def test_equipment_is_the_node(tmp_path):
    for instance in result_of(from_disk(mammogram(), tmp_path), tmp_path):
        assert instance.StationName == "SECONDREAD"
        assert instance.Manufacturer == "SecondRead"
        assert instance.DeviceSerialNumber == "SECONDREAD"
        assert instance.DeviceUID == results.DEVICE.uid
        [contribution] = instance.ContributingEquipmentSequence
        assert contribution.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
        assert results.MODEL.weights_sha256[:16] in contribution.ContributionDescription


BROKEN = [
    ("AcquisitionDate", "DA", b"20240230"),
    ("AcquisitionDate", "DA", b"20240101-20240202"),
    ("AcquisitionDate", "DA", b"\\"),
    ("AcquisitionTime", "SQ", b"CC"),
    ("ImagerPixelSpacing", "DS", b"\\"),
    ("ImagerPixelSpacing", "DS", b"1e308\\1e-400"),
    ("Rows", "US", b"\x01\x02\x03"),
    ("Rows", "IS", b"99999999999999999999999"),
    ("SamplesPerPixel", "SQ", b"CC"),
    ("AccessionNumber", "US", b"abc"),
    ("PatientName", "SQ", b"CC"),
    ("StudyDate", "DA", b"20240101-20240202"),
    ("BodyPartExamined", "SQ", b"R\\L"),
    ("ViewCodeSequence", "US", b"\x01\x02\x03\x04"),
    ("ViewCodeSequence", "DS", b"12"),
    ("AnatomicRegionSequence", "SQ", b"CC"),
    ("SourceImageSequence", "LO", b"text"),
    ("EstimatedRadiographicMagnificationFactor", "SQ", b"CC"),
    ("ProcedureCodeSequence", "LO", b"text"),
    ("PatientOrientation", "CS", b"A\\"),
    ("TimezoneOffsetFromUTC", "SH", b"+9999"),
]


@pytest.mark.parametrize(("keyword", "vr", "content"), BROKEN)
def test_no_broken_attribute_stops_a_report(tmp_path, keyword, vr, content):
    header = mammogram(rows=96, columns=64)
    sound = results.study_image(header, results.measured(results.NORMAL), tmp_path)
    with attributes.tolerant():
        broken = exam.describe(header).header
        broken[keyword] = RawDataElement(Tag(keyword), vr, len(content), content, 0, False, True)
        source = exam.describe(broken)
        exam.same_as_presented(source, [source])
        instances = results.objects([replace(sound, source=source)])
    assert [instance.Modality for instance in instances] == ["SR", "OT", "OT"]
    for item in instances:
        item.save_as(io.BytesIO(), enforce_file_format=True)


@pytest.mark.parametrize("written", ["20240230", "20240101-20240202"])
def test_a_day_that_never_was_is_not_handed_on(tmp_path, written):
    with attributes.tolerant():
        header = mammogram(AcquisitionDate=written)
        instances = results.objects([results.study_image(header, results.measured(), tmp_path)])
    assert "AcquisitionDate" not in instances[1]
    assert not results.named(instances[0], codes.ACQUISITION_DATE)
    assert results.named(instances[0], codes.IMAGE_LATERALITY)


def test_an_image_whose_details_fit_no_item_is_listed_without_them(tmp_path, monkeypatch):
    def unfit(_):
        raise ValueError("no content item can carry this")

    monkeypatch.setattr(source_attributes, "spacing", unfit)
    header = mammogram(rows=96, columns=64)
    [report] = results.of_kind([results.study_image(header, results.measured(), tmp_path)], "SR")
    [library] = results.named(report, codes.IMAGE_LIBRARY)
    assert len(results.named(library, codes.SOURCE)) == 1
    assert not results.named(library, codes.IMAGE_LATERALITY)
