from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from pydicom.uid import SecondaryCaptureImageStorage

from inference import wording
from inference.heatmap import summary as page
from inference.results import summary
from tests.support import results
from tests.support.mammograms import mammogram


@pytest.fixture
def drawn(monkeypatch):
    """Return what pages were drawn from."""
    calls = []
    draw = page.draw
    monkeypatch.setattr(page, "draw", lambda *words: calls.append(words) or draw(*words))
    return calls


def pages(images, **changes):
    return results.of_kind(images, "SUMMARY", **changes)


def pointing_at(depth, scores=results.MALIGNANT):
    """Return a finding whose region lies at that share of the way from the nipple to the chest wall."""
    nipple = results.LANDMARKS.nipple
    return results.measured(scores, at=results.region(nipple[0] + depth * results.LANDMARKS.depth, nipple[1]))


def study(findings, tmp_path):
    """Return the views RCC, LCC, RMLO and LMLO with ``findings``; None leaves one out."""
    return [
        results.study_image(header, finding, tmp_path)
        for header, finding in zip(results.four_views(), findings, strict=True)
        if finding is not None
    ]


CALM = results.measured(results.NORMAL)


def test_a_study_gets_one_page_that_refers_to_all_its_images(tmp_path):
    images = study([pointing_at(0.4), CALM, pointing_at(0.5), CALM], tmp_path)
    [page] = pages(images)
    assert page.SOPClassUID == SecondaryCaptureImageStorage
    assert page.SeriesDescription == "AI: flagged R - summary - NOT FOR DIAGNOSTIC USE"
    assert page.ImageLaterality == "B"
    sources = {instance.ReferencedSOPInstanceUID for instance in page.SourceImageSequence}
    assert sources == {image.source.sop_instance_uid for image in images}
    assert page.BurnedInAnnotation == "NO"
    assert pages(images, options=results.with_options(summary=False)) == []


def test_a_study_without_any_result_has_the_notice_alone(tmp_path):
    assert pages(study([results.failed(), None, None, None], tmp_path)) == []


def test_chest_walls_meet_in_the_middle(tmp_path, drawn):
    """All synthetic findings have their chest wall at the right: those of the left breast are mirrored."""
    pages(study([CALM] * 4, tmp_path))
    [(_, views, _, _)] = drawn
    assert [view.caption for view in views] == ["R CC", "L CC", "R MLO", "L MLO"]
    assert [view.remark for view in views] == ["", "mirrored", "", "mirrored"]
    assert all(view.picture is not None for view in views)


def test_breasts_are_told_apart(tmp_path, drawn):
    pages(study([pointing_at(0.4), CALM, pointing_at(0.5), CALM], tmp_path))
    [(title, _, (right, left), footer)] = drawn
    assert title == "AI: flagged R"
    assert (right.flag, left.flag) == ("FLAGGED", "Not flagged")
    assert right.lines[0] == "malignant score 84 (flag from 31)"
    assert left.lines == ["malignant score 1 (flag from 31)", "No region marked"]
    assert footer.warnings == ["Not flagged: this does not exclude cancer."]
    assert footer.notes[-1] == "document-cnn 1.0.0, investigational"


@pytest.mark.parametrize(
    ("cranio_caudal", "oblique", "words"),
    [
        (0.4, 0.55, "CC and MLO agree about the depth: 40 % and 55 % of the way from nipple to chest wall"),
        (
            0.2,
            0.7,
            "CC and MLO point to different depths: 20 % and 70 % of the way from nipple to chest wall",
        ),
        (0.2, None, "Region marked in CC only"),
    ],
)
def test_the_views_of_a_breast_are_compared(tmp_path, drawn, cranio_caudal, oblique, words):
    second = results.flat() if oblique is None else pointing_at(oblique)
    pages(study([pointing_at(cranio_caudal), CALM, second, CALM], tmp_path))
    assert drawn[0][2][0].lines[1] == words


def test_what_was_not_analysed_is_named(tmp_path, drawn):
    pages(study([CALM, results.failed("pixel data could not be decoded"), CALM, CALM], tmp_path))
    [(title, views, (_, left), footer)] = drawn
    assert title == "AI: not flagged, partial"
    assert footer.lines == ["Not analysed: L CC: pixel data could not be decoded"]
    assert views[1].remark == "Not analysed"
    assert left.lines[-1] == "Without a result: CC"


def test_of_a_breast_without_images_nothing_is_missing(tmp_path, drawn):
    """After a mastectomy there is one breast to image."""
    pages(study([CALM, None, CALM, None], tmp_path))
    [(title, views, (_, left), footer)] = drawn
    assert title == "AI: not flagged"
    assert left.flag == "No images"
    assert [view.remark for view in views] == [""] * 4
    assert footer.lines == []


def test_a_view_that_is_not_in_the_study_is_named_absent(tmp_path, drawn):
    pages(study([CALM, CALM, CALM, None], tmp_path))
    assert drawn[0][1][3].remark == "No such image in this study"


def test_an_image_that_is_read_alone_has_a_line(tmp_path, drawn):
    extra = results.study_image(mammogram("L", "ML", number=9, rows=320, columns=256), CALM, tmp_path)
    pages([*study([CALM] * 4, tmp_path), extra])
    line = "Left breast, ML, read alone: Not flagged · malignant score 1 (flag from 31)"
    assert drawn[0][3].lines == [line]


def test_a_view_with_an_implant_is_named_as_set_aside(tmp_path, drawn):
    images = study([CALM] * 4, tmp_path)
    displaced = mammogram("R", "CC", number=9, rows=320, columns=256, ViewPosition="RCCID")
    pages([*images, results.study_image(displaced, CALM, tmp_path)])
    [(title, views, _, footer)] = drawn
    assert title == "AI: not flagged"
    assert [view.caption for view in views] == ["R CC ID", "L CC", "R MLO", "L MLO"]
    words = "implant-displaced views (ID) are read instead, none is missing"
    assert footer.lines == [f"Set aside: R CC shows the implant; {words}"]


def test_the_same_study_gives_the_same_page_and_a_later_report_another(tmp_path):
    images = study([pointing_at(0.4), CALM, pointing_at(0.5), CALM], tmp_path)
    [first], [again] = pages(images), pages(images)
    assert first == again
    [later] = pages(images, made_at=results.MADE_AT + timedelta(hours=1))
    assert later.SOPInstanceUID != first.SOPInstanceUID
    assert later.SeriesInstanceUID != first.SeriesInstanceUID


def test_a_page_grows_with_its_lines():
    column = page.BreastColumn(name="Right breast", flagged=False, flag="Not flagged")
    views = [page.HungView(caption=caption, picture=None) for caption in ("R CC", "L CC", "R MLO", "L MLO")]
    empty = page.Footer(lines=[], warnings=[], notes=[])
    few = page.draw("AI: not flagged", views, (column, column), empty)
    long = replace(empty, lines=[f"reason {number} " * 9 for number in range(20)])
    grown = page.draw("AI: not flagged", views, (column, replace(column, lines=["a word"] * 3)), long)
    assert grown.shape[0] > few.shape[0]
    assert grown.shape[1] == few.shape[1] == 1600
    assert np.array_equal(few, page.draw("AI: not flagged", views, (column, column), empty))


def test_the_tolerance_is_stated():
    assert "differ by at most 20 points" in wording.depth_tolerance(summary.AGREES_WITHIN)
