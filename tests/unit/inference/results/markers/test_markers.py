"""Regions on the originals: Mammography CAD SR and Grayscale Softcopy Presentation State."""

import io
import subprocess

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import MammographyCADSRStorage

from inference.reading import pixels
from inference.results import codes
from inference.results.kinds import KINDS
from tests.support import results
from tests.support.mammograms import mammogram, write
from tests.support.peers import require
from tests.support.results import content, named

STUDY = (
    results.measured(results.MALIGNANT),
    results.measured(results.NORMAL),
    results.measured(results.NORMAL_BUT_REACHED),
    results.failed(),
)


def built(name, tmp_path, findings=STUDY, *, headers=None):
    kinds = [kind for kind in KINDS if kind.name == name]
    images = [
        results.study_image(header, finding, tmp_path)
        for header, finding in zip(headers or results.four_views(), findings, strict=True)
    ]
    return results.objects(images, kinds=kinds)


def concept(item):
    return item.ConceptCodeSequence[0].CodeMeaning


def test_cad_report_marks_images_of_flagged_breasts_and_no_others(tmp_path):
    (report,) = built("CAD-SR", tmp_path)
    marks = named(report, codes.SINGLE_IMAGE_FINDING)
    assert [concept(mark) for mark in marks] == ["Selected region"] * 2
    assert [str(named(mark, codes.CERTAINTY)[0].MeasuredValueSequence[0].NumericValue) for mark in marks] == [
        "84",
        "32",
    ]
    (summary,) = named(report, codes.CAD_SUMMARY)
    assert concept(summary) == "Not all algorithms succeeded; with findings"
    assert "L MLO" in named(report, codes.IMPRESSION)[0].TextValue


def test_cad_report_refers_from_each_mark_to_its_image_in_the_library(tmp_path):
    (report,) = built("CAD-SR", tmp_path)

    def item_at(place):
        item = report
        for number in place[1:]:
            item = item.ContentSequence[number - 1]
        return item

    sources = [str(header.SOPInstanceUID) for header in results.four_views()]
    marked = [
        item_at(outline.ContentSequence[0].ReferencedContentItemIdentifier)
        .ReferencedSOPSequence[0]
        .ReferencedSOPInstanceUID
        for outline in named(report, codes.OUTLINE)
    ]
    assert marked == [sources[0], sources[2]]
    failed = [item for item in content(named(report, codes.FAILED_DETECTIONS)[0]) if "ValueType" not in item]
    assert [item_at(item.ReferencedContentItemIdentifier).ValueType for item in failed] == ["IMAGE"]


@pytest.mark.parametrize(
    ("finding", "summary", "detections"),
    [
        (results.measured(results.NORMAL), "All algorithms succeeded; without findings", "Succeeded"),
        (results.failed(), "No algorithms succeeded; without findings", "Failed"),
        (results.refused(), "No algorithms succeeded; without findings", "Not Attempted"),
    ],
)
def test_cad_report_without_marks_says_why(tmp_path, finding, summary, detections):
    (report,) = built("CAD-SR", tmp_path, [finding] * 4)
    assert concept(named(report, codes.CAD_SUMMARY)[0]) == summary
    assert concept(named(report, codes.SUMMARY_OF_DETECTIONS)[0]) == detections


def test_every_hot_place_is_marked_and_followed_under_a_uid_of_its_own(tmp_path):
    findings = (results.TWO_PLACES, *STUDY[1:])
    (report,) = built("CAD-SR", tmp_path, findings)
    centers = [tuple(item.GraphicData) for item in named(report, codes.CENTER)]
    assert centers[:2] == [(200, 240), (120, 150)]
    words = [item.TextValue for item in named(report, codes.REGION_DESCRIPTION)]
    assert ["place 1 of 2 by size" in words[0], "place 2 of 2 by size" in words[1]] == [True, True]

    annotation = built("GSPS", tmp_path, findings)[0].GraphicAnnotationSequence[0]
    contours = annotation.GraphicObjectSequence
    middles = [np.reshape(contour.GraphicData, (-1, 2)).mean(axis=0) for contour in contours]
    assert np.allclose(middles, [(200, 240), (120, 150)], atol=2)
    assert "Outlined: the 2 hottest places" in annotation.TextObjectSequence[0].UnformattedTextValue

    tracked = [item.UID for item in named(report, codes.TRACKING_UID)]
    assert tracked[:2] == [contour.TrackingUID for contour in contours]
    assert len(set(tracked)) == 3


def test_the_report_says_that_it_has_the_largest_place_of_several(tmp_path):
    (report,) = built("SR", tmp_path, (results.TWO_PLACES, *STUDY[1:]))
    places = [words for words in results.comments(report) if "largest" in words]
    assert places == ["Marked: the largest of 2 hottest places, the heatmap shows all"]


@pytest.mark.parametrize("name", ["CAD-SR", "GSPS"])
def test_markers_are_the_same_bytes_again_and_other_objects_for_other_scores(tmp_path, name):
    first, again = built(name, tmp_path), built(name, tmp_path)
    further = built(name, tmp_path, (results.measured((0.1, 0.1, 0.1, 0.7)), *STUDY[1:]))
    assert first == again
    assert first[0].SOPInstanceUID != further[0].SOPInstanceUID


def test_presentation_states_draw_the_region_of_each_image_that_has_one(tmp_path):
    states = built("GSPS", tmp_path)
    assert [state.Laterality for state in states] == ["R", "R"]
    (annotation,) = states[0].GraphicAnnotationSequence
    (contour,) = annotation.GraphicObjectSequence
    points = np.reshape(contour.GraphicData, (-1, 2))
    assert np.allclose(points.mean(axis=0), (200, 240), atol=2)
    assert annotation.TextObjectSequence[0].UnformattedTextValue.startswith("AI R CC: FLAGGED")


def test_outlined_report_is_another_object_and_names_the_outlined_one_that_it_replaces(tmp_path):
    (first,), (outlined,) = built("SR", tmp_path), built("SR-OUTLINE", tmp_path)
    assert max(points(first)) == 9
    assert max(points(outlined)) == 61
    assert first.SOPInstanceUID != outlined.SOPInstanceUID
    kinds = [kind for kind in KINDS if kind.name == "SR-OUTLINE"]
    images = [results.study_image(header, results.measured(), tmp_path) for header in results.four_views()]
    (second,) = results.objects(images, kinds=kinds, predecessor=results.predecessor_of(first, images=4))
    series = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == outlined.SeriesInstanceUID
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == outlined.SOPInstanceUID


def test_cad_report_that_replaces_another_one_names_it_and_counts(tmp_path):
    """A peer that takes CAD SR alone sees which report counts."""
    (first,), (marks,) = built("SR", tmp_path), built("CAD-SR", tmp_path)
    images = [results.study_image(header, results.measured(), tmp_path) for header in results.four_views()]
    (second,) = results.of_kind(images, "CAD-SR", predecessor=results.predecessor_of(first, images=4))
    (study,) = second.PredecessorDocumentsSequence
    assert study.StudyInstanceUID == marks.StudyInstanceUID
    (series,) = study.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == marks.SeriesInstanceUID != first.SeriesInstanceUID
    (named_report,) = series.ReferencedSOPSequence
    assert named_report.ReferencedSOPClassUID == marks.SOPClassUID == MammographyCADSRStorage
    assert named_report.ReferencedSOPInstanceUID == marks.SOPInstanceUID != first.SOPInstanceUID
    assert (marks.InstanceNumber, second.InstanceNumber) == (1, 2)
    assert "CAD marks 2" in second.SeriesDescription
    (impression,) = named(second, codes.IMPRESSION)
    assert "Replaces the report of " in impression.TextValue
    assert second.SeriesInstanceUID != marks.SeriesInstanceUID


def points(report):
    """The number of points of each line."""
    return [len(item.GraphicData) // 2 for item in content(report) if item.ValueType == "SCOORD"]


@pytest.mark.parametrize(
    "display",
    [{"voi": "lut"}, {"voi": "window"}, {"photometric": "MONOCHROME1"}, {"RescaleSlope": "2"}],
    ids=str,
)
def test_dcmtk_shows_the_original_through_the_state_as_the_node_does(tmp_path, display):
    """A copied table of 12 bits and IDENTITY of an inverse image were shown too dark, and inverted."""
    header = mammogram("R", "CC", rows=320, columns=256, lesion=True, **display)
    (state,) = built("GSPS", tmp_path, [results.measured()], headers=[header])
    source, picture = write(header, tmp_path / "source.dcm"), tmp_path / "shown.pgm"
    command = [require("dcmp2pgm"), "--pstate", write(state, tmp_path / "state.dcm"), source, picture]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    drawn = np.asarray(Image.open(io.BytesIO(picture.read_bytes())).convert("L"), float)
    expected = pixels.from_dicom(source).grey * 255
    assert np.median(np.abs(drawn - expected)) <= 2
