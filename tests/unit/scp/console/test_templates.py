"""What a page says of one image: no slider without a heatmap, and where label and scores seem to differ."""

import pytest

from inference.findings import CLASSES
from scp.console import rendering, wording
from tests.support import results


@pytest.fixture(scope="module")
def macros():
    return rendering._environment.get_template("macros.html").module


def test_a_picture_without_a_region_is_shown_once_and_has_nothing_to_fade(macros):
    figures = macros.layers("/picture.jpg", "/heatmap.jpg", "R CC", "1", None)
    assert (figures.count("<img"), figures.count("<input")) == (1, 0)
    assert "No region" in figures
    assert "Heatmap" not in figures


def test_a_picture_with_a_region_stands_beside_its_heatmap(macros):
    figures = macros.layers("/picture.jpg", "/heatmap.jpg", "R CC", "1", results.region(200, 240))
    assert (figures.count("<figure>"), figures.count("<input")) == (2, 1)
    assert "No region" not in figures


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (results.NORMAL_BUT_REACHED, "This image alone scores highest for Normal."),
        (results.MALIGNANT, ""),
        (results.NORMAL, ""),
    ],
)
def test_a_label_that_is_not_the_highest_score_is_explained(macros, scores, words):
    label = results.analysed(scores).label
    assert words in macros.highest(scores, CLASSES, label)
    assert bool(macros.highest(scores, CLASSES, label).strip()) == bool(words)


@pytest.mark.parametrize(
    ("scores", "times"), [(results.NORMAL, 1), (results.BENIGN, 1), (results.MALIGNANT, 0)]
)
def test_a_breast_that_is_not_flagged_is_said_once_not_to_exclude_cancer(scores, times):
    assert wording.plainly(results.analysed(scores).decision).count(wording.NOT_EXCLUDED) == times
