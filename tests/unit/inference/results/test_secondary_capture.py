import io
import tracemalloc
from dataclasses import replace
from datetime import timedelta, timezone
from types import SimpleNamespace

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from inference import wording
from inference.findings import Laterality
from inference.heatmap import heatmap
from inference.results import secondary_capture
from inference.results.kinds import KINDS
from inference.results.notice import draw
from scp.process.threads import Team
from tests.support import results
from tests.support.mammograms import mammogram


def captures(images, **changes):
    """Return the captures but for the page that sums the study up."""
    return results.of_kind(images, "SC", "NOTICE", **changes)


def capture(header, folder, finding=None, **changes):
    [only] = captures([results.study_image(header, finding or results.measured(), folder)], **changes)
    return only


def stored(header):
    file = io.BytesIO()
    header.save_as(file, enforce_file_format=True)
    return file.getvalue()


def test_pictures_that_are_drawn_side_by_side_give_the_same_bytes(tmp_path):
    images = [results.study_image(header, results.measured(), tmp_path) for header in results.four_views()]
    together = [stored(data_set) for data_set in results.objects(images, distribute=Team(3).distribute)]
    assert together == [stored(data_set) for data_set in results.objects(images)]


def test_no_array_of_a_picture_stays_beside_what_is_sent(tmp_path):
    image = results.study_image(mammogram(), results.measured(), tmp_path)
    sources = [results.study_image(mammogram(number=n), results.measured(), tmp_path) for n in range(1, 9)]
    enlarged = image.layers().enlarged(4)
    images = [replace(source, layers=lambda: enlarged) for source in sources]
    first, *_ = captures(images[:1])  # what is loaded and kept at the first picture counts for none
    tracemalloc.start()
    try:
        pictures = captures(images)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    size = len(first.PixelData)
    assert [len(picture.PixelData) for picture in pictures] == 8 * [size]
    assert peak < (8 + 6) * size  # drawing takes four to five of its size; eight arrays would be eight more


def test_one_capture_for_each_analysed_image_in_hanging_order(tmp_path):
    headers = results.four_views()
    images = [results.study_image(header, results.measured(), tmp_path) for header in reversed(headers)]
    instances = captures(images)
    assert [
        (instance.ImageLaterality, instance.ViewPosition, instance.InstanceNumber) for instance in instances
    ] == [
        ("R", "CC", 1),
        ("L", "CC", 2),
        ("R", "MLO", 3),
        ("L", "MLO", 4),
    ]
    assert len({instance.SOPInstanceUID for instance in instances}) == 4
    assert len({instance.SeriesInstanceUID for instance in instances}) == 1


def test_capture_refers_to_its_source(tmp_path):
    header = mammogram()
    instance = capture(header, tmp_path)
    assert instance.SOPClassUID == SecondaryCaptureImageStorage == instance.file_meta.MediaStorageSOPClassUID
    assert instance.StudyInstanceUID == header.StudyInstanceUID
    assert instance.SeriesInstanceUID != header.SeriesInstanceUID
    [source] = instance.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == header.SOPInstanceUID
    assert source.SpatialLocationsPreserved == "NO"
    assert list(instance.PatientOrientation) == list(header.PatientOrientation)
    assert instance.ViewCodeSequence[0].CodeValue == header.ViewCodeSequence[0].CodeValue
    assert "ViewModifierCodeSequence" not in instance.ViewCodeSequence[0]
    assert instance.DerivationCodeSequence[0].CodeValue == "130403"
    assert instance.AcquisitionDate == header.AcquisitionDate
    for absent in ("FrameOfReferenceUID", "PixelSpacing", "ImagerPixelSpacing", "WindowWidth"):
        assert absent not in instance


def test_picture_is_stored_as_it_was_rendered(tmp_path):
    image = results.study_image(mammogram(rows=301, columns=251), results.measured(), tmp_path)
    [instances] = captures([image])
    assert len(instances.PixelData) % 2 == 0
    assert instances.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    [examined] = results.examined([image]).images
    drawn = heatmap.render(
        image.layers(),
        examined.finding,
        caption="R CC",
        signature=wording.signature(results.MODEL),
        longest=2048,
    )
    assert np.array_equal(instances.pixel_array, drawn)


def test_nothing_that_identifies_the_patient_is_burned_in(tmp_path):
    size = {"rows": 320, "columns": 256}
    of_doe = capture(mammogram(patient_name="Doe^Jane", AccessionNumber="ACC9", **size), tmp_path)
    of_roe = capture(
        mammogram(
            patient_name="Roe^Mary", PatientID="X", StudyDate="20230101", AccessionNumber="ACC8", **size
        ),
        tmp_path,
    )
    assert of_doe.PatientName != of_roe.PatientName
    assert of_doe.PixelData == of_roe.PixelData
    assert of_doe.BurnedInAnnotation == of_doe.RecognizableVisualFeatures == "NO"
    assert "NOT FOR DIAGNOSTIC USE" in of_doe.SeriesDescription
    assert of_doe.SOPInstanceUID != of_roe.SOPInstanceUID


def test_normal_capture_claims_no_activation_map(tmp_path):
    instance = capture(mammogram(), tmp_path, results.measured(results.NORMAL))
    assert [code.CodeValue for code in instance.DerivationCodeSequence] == ["113085"]
    assert "without a map" in instance.DerivationDescription


def titles(images):
    instances = results.objects(images, options=results.with_options(summary=False))
    return [instance.SeriesDescription.removesuffix(" - NOT FOR DIAGNOSTIC USE") for instance in instances]


def test_the_list_of_series_tells_the_result(tmp_path):
    right, left, *_ = results.four_views()
    calm, suspicious = results.measured(results.BENIGN), results.measured(results.MALIGNANT)

    def study(of_right, of_left):
        return [
            results.study_image(item, finding, tmp_path)
            for item, finding in ((right, of_right), (left, of_left))
        ]

    assert titles(study(calm, suspicious)) == ["AI: flagged L - report", *["AI: flagged L - heatmap"] * 2]
    assert titles(study(suspicious, suspicious))[0] == "AI: flagged R and L - report"
    assert titles(study(calm, calm))[0] == "AI: not flagged - report"
    assert titles(study(calm, results.failed()))[0] == "AI: not flagged, partial - report"
    assert titles(study(results.failed(), results.failed()))[0] == "AI: no result - report"


def test_a_picture_without_heat_is_called_no_heatmap(tmp_path):
    right, left, *_ = results.four_views()
    images = [
        results.study_image(item, finding, tmp_path)
        for item, finding in ((right, results.measured(results.NORMAL)), (left, results.measured()))
    ]
    assert titles(images)[1:] == ["AI: flagged L - no region", "AI: flagged L - heatmap"]
    without, heatmap = captures(images)
    assert without.SeriesInstanceUID != heatmap.SeriesInstanceUID
    assert without.SeriesNumber != heatmap.SeriesNumber


def test_descriptions_of_series_fit_into_their_attribute():
    flagged = wording.study_title([Laterality.RIGHT, Laterality.LEFT], read=True, complete=False)
    partial = wording.study_title([], read=True, complete=False)
    names = {kind.series.description for kind in KINDS} - {wording.NOTICE_SERIES} | {wording.NO_REGION_SERIES}
    for title in (flagged, partial, wording.NO_RESULT):
        for name in names:
            assert len(wording.series_description(title, name, 100)) <= 64


def test_results_that_replace_others_are_a_series_of_their_own_and_say_so(tmp_path):
    images = [results.study_image(mammogram(), results.measured(), tmp_path)]
    [report, *_], [heatmap] = results.objects(images), captures(images)
    replaced = results.predecessor_of(report, images=1)
    again = results.objects(images, predecessor=replaced)
    described = [instance.SeriesDescription.split(" - ")[1] for instance in again]
    assert described == ["report 2", "summary 2", "heatmap 2"]
    assert [instance.SeriesNumber for instance in again] == [9102, 9100, 9101]
    assert again[2].SeriesInstanceUID != heatmap.SeriesInstanceUID
    assert again[2].SOPInstanceUID != heatmap.SOPInstanceUID
    assert not np.array_equal(again[2].pixel_array, heatmap.pixel_array)  # its last line says so, too
    assert captures(images, predecessor=replace(replaced, issued=((1, results.MADE_AT),))) == [heatmap]


def test_modality_is_the_sites_choice(tmp_path):
    header = mammogram()
    assert capture(header, tmp_path).Modality == "OT"
    assert capture(header, tmp_path, options=results.with_options(sc_modality="MG")).Modality == "MG"


@pytest.mark.parametrize("orientation", ["CC", "", ["A", "Q"], ["A", "R", "F"]])
def test_misused_orientation_is_not_handed_on(tmp_path, orientation):
    assert not capture(mammogram(PatientOrientation=orientation), tmp_path).PatientOrientation


def test_unknown_side_is_said_to_be_unknown(tmp_path):
    header = mammogram(
        ImageLaterality=None, PatientOrientation="", SeriesDescription="x", ViewCodeSequence=None
    )
    known_image = mammogram("L", number=2)
    images = [results.study_image(item, results.measured(), tmp_path) for item in (header, known_image)]
    by_side = {instance.get("ImageLaterality"): instance for instance in captures(images)}
    assert by_side[None].Laterality == ""
    assert "Laterality" not in by_side["L"]
    assert by_side[None].SeriesInstanceUID != by_side["L"].SeriesInstanceUID
    assert by_side[None].ViewCodeSequence[0].CodeValue == "399162004"


def test_lossy_stays_lossy(tmp_path):
    lossy = mammogram(
        LossyImageCompression="01", LossyImageCompressionRatio="12", LossyImageCompressionMethod="ISO_15444_1"
    )
    instance = capture(lossy, tmp_path)
    assert (instance.LossyImageCompression, instance.LossyImageCompressionRatio) == ("01", 12)
    assert instance.LossyImageCompressionMethod == "ISO_15444_1"
    assert capture(mammogram(LossyImageCompression=None), tmp_path).LossyImageCompression == "00"
    decoded = mammogram(LossyImageCompression=None)
    image = results.study_image(decoded, results.measured(), tmp_path)
    image.source.header.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.50"
    assert captures([image])[0].LossyImageCompression == "01"


def test_late_view_leaves_the_bytes_of_the_other_breast_alone(tmp_path):
    """Its own breast is decided anew."""
    headers = results.four_views()
    later = results.ANALYSED_AT + timedelta(minutes=9)
    early = [results.study_image(header, results.measured(), tmp_path) for header in headers[1:]]
    late = results.study_image(headers[0], results.measured(results.BENIGN), tmp_path, analysed_at=later)
    before = {
        instance.SOPInstanceUID: stored(instance)
        for instance in captures(early)
        if instance.ImageLaterality == "L"
    }
    after = {instance.SOPInstanceUID: stored(instance) for instance in captures([late, *early])}
    assert len(before) == 2
    assert before.items() <= after.items()
    assert len(after) == 4


def test_series_does_not_change_when_its_earliest_image_is_analysed_again(tmp_path):
    def captures_at(minutes):
        times = [results.ANALYSED_AT + timedelta(minutes=after) for after in (minutes, 5, 6, 7)]
        return captures(
            [
                results.study_image(header, results.measured(), tmp_path, analysed_at=time)
                for header, time in zip(results.four_views(), times, strict=True)
            ]
        )

    before, after = captures_at(0), captures_at(90)
    assert {instance.SeriesInstanceUID for instance in before} == {
        instance.SeriesInstanceUID for instance in after
    }
    assert len({(instance.SeriesDate, instance.SeriesTime) for instance in (*before, *after)}) == 1
    assert [stored(instance) for instance in before[1:]] == [stored(instance) for instance in after[1:]]


def test_second_image_of_a_view_takes_a_free_number(tmp_path):
    headers = [mammogram(number=number) for number in (1, 2, 3)]
    images = [
        results.study_image(
            header, results.measured(), tmp_path, analysed_at=results.ANALYSED_AT + timedelta(minutes=number)
        )
        for number, header in enumerate(headers)
    ]
    numbers = {
        instance.SourceImageSequence[0].ReferencedSOPInstanceUID: instance.InstanceNumber
        for instance in captures(images)
    }
    assert [numbers[header.SOPInstanceUID] for header in headers] == [1, 5, 6]


def test_notice_names_every_image_without_a_result(tmp_path):
    headers = results.four_views()
    images = [
        results.study_image(headers[0], results.measured(), tmp_path),
        results.study_image(headers[1], results.failed(), tmp_path),
        results.study_image(headers[3], results.refused(), tmp_path),
    ]
    heatmap, notice = captures(images)
    assert notice.ImageLaterality == "L"
    assert notice.SeriesInstanceUID != heatmap.SeriesInstanceUID
    assert "DerivationCodeSequence" not in notice
    named = [instance.ReferencedSOPInstanceUID for instance in notice.SourceImageSequence]
    assert named == [headers[1].SOPInstanceUID, headers[3].SOPInstanceUID]
    assert len(captures(images, options=results.with_options(notice=False))) == 1


@pytest.mark.parametrize(
    ("sides", "expected"), [("RLRL", "B"), ("L", "L"), ("-", None), ("L-", None), ("RL-", "B"), ("B", "B")]
)
def test_page_claims_no_side_that_is_unknown(sides, expected):
    page = Dataset()
    secondary_capture.describe_sides(
        page, [SimpleNamespace(laterality=None if side == "-" else Laterality(side)) for side in sides]
    )
    assert page.get("ImageLaterality") == expected
    assert page.get("Laterality") == ("" if expected is None else None)


def test_pages_about_an_image_of_unknown_side_claim_none(tmp_path):
    header = mammogram(ImageLaterality=None, PatientOrientation="", SeriesDescription="x")
    for finding in (results.failed(), results.measured(results.NORMAL)):
        for page in results.objects([results.study_image(header, finding, tmp_path)]):
            assert "ImageLaterality" not in page
            assert page.Modality == "SR" or page.Laterality == ""


def test_times_are_those_of_the_study(tmp_path):
    instance = capture(mammogram(TimezoneOffsetFromUTC="+0530"), tmp_path)
    local_time = results.ANALYSED_AT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert instance.ContentDate == instance.DateOfSecondaryCapture == local_time.strftime("%Y%m%d")
    assert instance.ContentTime == instance.InstanceCreationTime == local_time.strftime("%H%M%S")
    assert instance.TimezoneOffsetFromUTC == "+0530"


def test_notice_page_grows_with_its_lines():
    short = draw(["R CC: pixel data could not be decoded"], results.MODEL)
    long = draw([f"R CC: reason {number} " * 8 for number in range(30)], results.MODEL)
    assert short.shape == (768, 1024, 3)
    assert long.shape[0] > 768
    assert long.shape[1] == 1024
