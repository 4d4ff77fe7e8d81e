"""The pointing game on drawn breasts, with a network whose heat is known."""

from types import SimpleNamespace

import numpy as np
import pytest

from inference import pipeline
from inference.analysis import breast, preprocess, region
from inference.analysis.classifier import Reading
from inference.errors import Failed
from inference.findings import ClassKey
from inference.reading.pixels import Picture
from models.training.evaluation.measures import Estimate
from models.training.measuring import pointing
from models.training.sources.labels import Example
from tests.support.training import breast as drawn

ROWS, COLUMNS = 64, 48
LESION = (60, 100)


def example(*boxes, patient="1", source="inbreast"):
    return Example(
        file="a.png", source=source, device="", patient=patient, laterality="L", view="CC", label="Malignant",
        lesions=boxes,
    )  # fmt: skip


def box(column, row, half=10):
    return column - half, row - half, column + half, row + half


def picture():
    grey = drawn(np.random.default_rng(1), LESION).astype(np.float32) / 255
    return Picture(grey=grey, padding=None)


class Hot:
    """A network that is hot at one point of the source, or evenly."""

    rows, columns = ROWS, COLUMNS
    identity = None

    def __init__(self, column=None, row=None):
        self.place = None if column is None else (column, row)

    def read(self, batch):
        heat = np.ones((ROWS // 2, COLUMNS // 2), np.float32)
        if self.place is not None:
            shown_picture = picture()
            geometry = preprocess.prepare(shown_picture, breast.find(shown_picture), ROWS, COLUMNS).geometry
            across, down = geometry.to_input(*self.place)
            heat[:] = 0
            heat[int(down / 2), int(across / 2)] = 1
        scores = (0.1, 0.1, 0.1, 0.7)
        return [Reading(scores=scores, maps=np.stack([heat] * 3))]


def test_heat_in_the_lesion_hits():
    row = pointing.point(picture(), example(box(*LESION)), Hot(*LESION))
    assert row.hit
    assert row.heat > 0.95
    assert row.explained == "Malignant"


def test_heat_elsewhere_misses():
    row = pointing.point(picture(), example(box(*LESION)), Hot(30, 150))
    assert not row.hit
    assert row.heat < 0.05


def test_one_of_several_lesions_is_enough():
    assert pointing.point(picture(), example(box(30, 60, 5), box(*LESION)), Hot(*LESION)).hit


@pytest.mark.parametrize(("away", "hit"), [(-1, True), (4.9, True), (5.1, False)])
def test_a_box_counts_wider_by_a_fortieth_of_the_height(away, hit):
    """5 of 200 rows on each side."""
    analysed = pipeline.analysed_image(picture(), Hot(*LESION))
    peak = region.locate(analysed.heat(ClassKey.MALIGNANT), analysed.breast.mask).peak
    for lesion in ((20, 20, peak[0] - away, 180), (20, peak[1] + away, 100, 180)):
        assert pointing.point(picture(), example(lesion), Hot(*LESION)).hit is hit


def test_even_heat_in_the_breast_is_chance():
    row = pointing.point(picture(), example(box(*LESION)), Hot())
    inside = breast.find(picture()).mask
    assert row.chance == pytest.approx(30 * 30 / inside.sum(), rel=0.02)
    assert row.heat == pytest.approx(row.chance, rel=0.1)


def test_two_boxes_on_one_place_count_once():
    once = pointing.point(picture(), example(box(*LESION)), Hot())
    twice = pointing.point(picture(), example(box(*LESION), box(*LESION)), Hot())
    assert (once.heat, once.chance) == (twice.heat, twice.chance)


def test_an_image_without_a_number_fails():
    with pytest.raises(Failed):
        pointing.point(
            picture(),
            example(box(*LESION)),
            SimpleNamespace(rows=ROWS, columns=COLUMNS, read=lambda _: [Failed("no number")]),
        )


def test_figures_are_shares_with_intervals_over_patients():
    rows = [
        pointing.Pointed(
            example=example(patient=str(number // 2), source=("inbreast", "mini-mias")[number // 2 % 2]),
            hit=number % 4 == 0,  # once for every other patient, all of them of INbreast
            heat=0.5,
            chance=0.1,
            explained="Malignant",
        )
        for number in range(40)
    ]
    figures = pointing.figures(rows, folds=[2], left_out=1)
    assert (figures.folds, figures.left_out) == ((2,), 1)
    assert (figures.pooled.images, figures.pooled.patients) == (40, 20)
    hit = figures.pooled.hottest_point_in_lesion
    assert hit.value == 0.25
    assert hit.low < 0.25 < hit.high
    assert figures.sources["mini-mias"].hottest_point_in_lesion.value == 0
    assert figures.pooled.heat_in_lesion == Estimate(value=0.5, low=0.5, high=0.5)
    assert figures.pooled.random_point_in_lesion.value == 0.1
    assert figures.labels["Malignant"].explained == {"Malignant": 40}
