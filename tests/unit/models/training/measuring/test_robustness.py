"""Disturbances, and what is counted of the answers under them."""

import numpy as np
import pytest

from inference.analysis import breast
from inference.analysis.classifier import Reading
from inference.reading.pixels import Picture
from models.training.evaluation.measures import Estimate
from models.training.measuring import robustness
from models.training.measuring.robustness import DISTURBANCES, POOLED, UNDISTURBED, Answers, disturbed
from models.training.publishing import markdown
from models.training.sources.labels import Example
from tests.support.training import breast as drawn


def picture(padding=None):
    return Picture(grey=drawn(np.random.default_rng(1), (60, 100)).astype(np.float32) / 255, padding=padding)


@pytest.mark.parametrize("name", DISTURBANCES)
def test_a_disturbance_changes_a_copy_and_the_breast_is_found_again(name):
    before, original = picture(), picture()
    after = disturbed(before, name, seed=1)
    assert before.grey.tobytes() == original.grey.tobytes()
    assert after.grey.dtype == np.float32
    assert (after.grey.min(), after.grey.max()) >= (0, 0)
    assert after.grey.max() <= 1
    assert after.grey.shape != before.grey.shape or not np.array_equal(after.grey, before.grey)
    assert breast.find(after).chest_wall == "left"


@pytest.mark.parametrize("name", DISTURBANCES)
def test_the_same_seed_gives_the_same_picture(name):
    first, second = (disturbed(picture(), name, seed=4).grey for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_sizes():
    shapes = {name: disturbed(picture(), name, seed=1).grey.shape for name in DISTURBANCES}
    assert shapes["crop 10%"] == (180, 144)
    assert shapes["half resolution"] == (100, 80)
    assert shapes["white border"] == shapes["black border"] == (220, 180)


def test_padding_becomes_black():
    padding = np.zeros((200, 160), bool)
    padding[:, 150:] = True
    grey = picture().grey.copy()
    grey[:, 150:] = 1
    after = disturbed(Picture(grey=grey, padding=padding), "half resolution", seed=1)
    assert after.padding is None
    assert (after.grey[:, 75:] == 0).all()


class Bright:
    """A network that calls malignant what is bright on average, so that contrast moves it."""

    rows, columns = 64, 48
    identity = None

    def read(self, batch):
        score = float(batch.mean())
        scores = (1 - score, 0.0, 0.0, score)
        heat = np.ones((4, 3), np.float32)
        return [Reading(scores=scores, maps=np.stack([heat] * 3))]


class Closed:
    def objection(self, picture, outline):
        return "not recognised as a mammogram: closed" if picture.grey.shape != (200, 160) else None


def example(label="Malignant", *, patient="1", source="rsna"):
    return Example(file="", source=source, device="", patient=patient, laterality="L", view="CC", label=label)


def test_every_disturbance_is_asked_for_through_the_gate():
    answers = robustness.ask(picture(), example(), Bright(), Closed(), seed=1)
    assert set(answers.scores) == {UNDISTURBED, *DISTURBANCES}
    assert answers.scores[UNDISTURBED] is not None
    refused = {name for name, scores in answers.scores.items() if scores is None}
    assert refused == {"crop 10%", "half resolution", "black border", "white border"}


def answer(number, *, reverse=()):
    """Malignant where the number is odd, and scored so, but for the disturbances in ``reverse``."""
    malignant = number % 2 == 1
    high, low = (0.0, 0.2, 0.0, 0.8), (0.7, 0.2, 0.0, 0.1)
    scores = {
        name: high if malignant is not (name in reverse) else low for name in (UNDISTURBED, *DISTURBANCES)
    }
    source = ("rsna", "inbreast")[number // 2 % 2]
    label = "Malignant" if malignant else "Normal"
    return Answers(example=example(label, patient=str(number), source=source), scores=scores)


@pytest.fixture(scope="module")
def turned():
    """Answers that a white border turns round, and of which a crop leaves six out."""
    answers = [answer(number, reverse={"white border"}) for number in range(60)]
    for part in answers[:6]:
        part.scores["crop 10%"] = None
    return robustness.figures(answers, folds=[0], left_out=0)


def test_a_disturbance_that_turns_answers_round_costs_all(turned):
    border = turned.groups["rsna"].disturbances["white border"]
    assert border.auc_change.value == -1
    assert border.labels_changed == 1
    assert border.mean_score_change == 0.7


def test_what_changes_nothing_changes_no_figure(turned):
    pooled = turned.groups[POOLED]
    assert pooled.auc.value == 1
    assert set(turned.groups) == {POOLED, "rsna", "inbreast"}
    border = pooled.disturbances["black border"]
    assert border.auc_change == Estimate(value=0, low=0, high=0)
    assert (border.labels_changed, border.not_analysed, border.mean_score_change) == (0, 0, 0)


def test_what_is_not_analysed_is_counted_and_not_scored(turned):
    pooled = turned.groups[POOLED].disturbances["crop 10%"]
    assert pooled.not_analysed == 6
    assert pooled.auc_change.value == 0


def test_too_few_images_have_no_auc_and_a_table_all_the_same():
    figures = robustness.figures([answer(number) for number in range(6)], folds=[0], left_out=0)
    assert figures.groups[POOLED].auc is None
    lines = markdown.robustness(figures).splitlines()
    assert len(lines) == 3 + len(DISTURBANCES)
    assert all(line.count("|") == lines[0].count("|") for line in lines)


def test_the_table_states_changes_with_their_sign(turned):
    (line,) = [line for line in markdown.robustness(turned).splitlines() if line.startswith("| white border")]
    assert "-1.000 (-1.000 to -1.000)" in line
    assert "| 100.0% | 0 |" in line


def test_names_say_how_strong_a_disturbance_is():
    assert "noise 3%" in robustness.DISTURBANCES
    assert "rotation -10°" in robustness.DISTURBANCES
