"""A scanner's own threshold: in force for new reports, never for those that were sent."""

from dataclasses import replace
from datetime import timedelta

import pytest

from scp import calibration
from scp.configuration.sections import Model
from storage.queue import reports
from storage.scanners import scores
from storage.scanners.scores import Network, Scanner
from tests.support.in_process import IDENTITY, RULE, START, InProcessNode
from tests.support.mammograms import mammogram
from tests.support.scored import examine

SCANNER = Scanner(manufacturer="ACME", model="Mammo 3000")
NETWORK = Network(name=IDENTITY.name, version=IDENTITY.version)
SCORES = [number / 250 for number in range(250)]
"""The analyst of the tests gives every image 0.6, which is higher than 60 % of these."""
PLACE = "Higher than 60 % of the last 250 examinations of this scanner"
SOURCE = "set for this scanner on 2026-03-01 from 250 examinations, to flag 50 % of them"


@pytest.fixture
def node(tmp_path):
    opened = InProcessNode(tmp_path)
    yield opened
    opened.close()


def image(study=1, view="CC", **attributes):
    made_by = {"Manufacturer": SCANNER.manufacturer, "ManufacturerModelName": SCANNER.model} | attributes
    return mammogram("R", view, rows=320, columns=256, study=str(study), **made_by)


def answer(node, *images):
    node.receive(*images)
    node.work(later=timedelta(minutes=10))
    return node.deliver()


def as_bytes(objects):
    return sorted(instance.to_json() for instance in objects)


def scores_kept(node):
    return calibration.look(node.database, SCANNER, NETWORK)


def accept(node, flag_rate=0.5):
    calibration.accept(node.database, [scores_kept(node).proposed(flag_rate, at=node.now, by="radiology")])


def stated(node, study_uid):
    with node.database.read() as tx:
        report = reports.last_report(tx, study_uid)
        return scores.of_report(tx, report.id)


def fill(node, malignant=SCORES, **place):
    place = {"scanner": SCANNER, "network": NETWORK, "at": START - timedelta(days=30)} | place
    examine(node.database, malignant, **place)


def test_a_report_keeps_what_it_states_of_each_breast(node):
    source = image()
    answer(node, source)
    (breast,) = stated(node, source.StudyInstanceUID)
    assert (breast.laterality, breast.scanner, breast.network) == ("R", SCANNER, NETWORK)
    assert breast.malignant == pytest.approx(0.6)
    assert (breast.threshold, breast.threshold_source) == (RULE.threshold.value, RULE.threshold.source)
    assert not breast.flagged
    assert breast.percentile is None
    assert scores_kept(node).examinations == 1


def test_a_breast_is_compared_from_200_examinations_on_calibrated_or_not(node):
    fill(node, SCORES[:199])
    assert "of this scanner" not in answer(node, image(1))[0].to_json()
    assert "of the last 200 examinations of this scanner" in answer(node, image(2))[0].to_json()


def test_a_calibration_counts_for_new_reports_of_its_scanner(node):
    fill(node)
    accept(node)
    source = image()
    text = answer(node, source)[0].to_json()
    assert PLACE in text
    assert SOURCE in text
    assert stated(node, source.StudyInstanceUID)[0].flagged
    other_image = image(2, ManufacturerModelName="Mammo 2000")
    assert SOURCE not in answer(node, other_image)[0].to_json()
    assert not stated(node, other_image.StudyInstanceUID)[0].flagged


def test_what_was_sent_is_not_sent_again_when_a_calibration_is_accepted(node):
    fill(node)
    assert answer(node, image())
    accept(node)
    node.tasks.complete_studies()
    assert node.work(later=timedelta(minutes=10)) == []
    assert answer(node, image()) == []


def test_a_report_that_is_made_again_has_the_bytes_of_before_whatever_was_calibrated_since(node):
    fill(node)
    before = answer(node, image())
    assert PLACE in before[0].to_json()
    node.now += timedelta(days=30)
    node.tasks.remove_old_studies()
    assert node.known_studies() == set()
    accept(node)
    fill(node, [0.9] * 300, prefix="1.2.4", at=node.now)
    again = answer(node, image())
    assert as_bytes(again) == as_bytes(before)
    (breast,) = stated(node, image().StudyInstanceUID)
    assert (breast.flagged, breast.percentile, breast.examinations) == (False, 60, 250)


def test_a_study_is_not_compared_with_itself(node):
    fill(node, SCORES[:200])
    answer(node, image())
    node.receive(image(), image(view="MLO"))
    node.work(later=timedelta(minutes=10))
    assert stated(node, image().StudyInstanceUID)[0].examinations == 200
    assert scores_kept(node).examinations == 201


def test_scanners_that_their_images_do_not_name_are_never_compared(node):
    unnamed = Scanner(manufacturer="", model="")
    fill(node, scanner=unnamed)
    source = image(Manufacturer="", ManufacturerModelName=None)
    assert "of this scanner" not in answer(node, source)[0].to_json()
    assert calibration.look(node.database, unnamed, NETWORK).proposed(0.1, at=START, by="me") is None


def test_drift_is_told_against_the_first_200_then_against_the_calibration(node):
    fill(node, SCORES[:200])
    assert scores_kept(node).drift is None
    fill(node, [0.9] * 199, prefix="1.2.4", at=START)
    assert scores_kept(node).drift is None
    fill(node, [0.9], prefix="1.2.5", at=START + timedelta(days=1))
    assert scores_kept(node).drift.drifted
    node.now = START + timedelta(days=2)
    accept(node)
    assert scores_kept(node).drift is None
    fill(node, [0.9] * 200, prefix="1.2.6", at=START + timedelta(days=3))
    assert scores_kept(node).drift.reference == 400
    assert scores_kept(node).drift.drifted


def test_an_automatic_node_calibrates_at_200_examinations_and_again_after_200_more(node):
    model = Model(calibration="automatic", flag_rate=0.25)
    automatic = replace(node.tasks, settings=node.settings.model_copy(update={"model": model}))
    fill(node, SCORES[:199])
    automatic.calibrate_scanners()
    assert scores_kept(node).calibration is None
    fill(node, [0.1], prefix="1.2.4")
    node.tasks.calibrate_scanners()  # a node that is not automatic leaves it to a person
    assert scores_kept(node).calibration is None
    automatic.calibrate_scanners()
    first = scores_kept(node).calibration
    assert (first.examinations, first.flag_rate, first.accepted_by) == (200, 0.25, "automatic")
    fill(node, [0.9] * 199, prefix="1.2.5", at=node.now + timedelta(days=1))
    automatic.calibrate_scanners()
    assert scores_kept(node).calibration == first
    fill(node, [0.9], prefix="1.2.6", at=node.now + timedelta(days=2))
    automatic.calibrate_scanners()
    assert scores_kept(node).calibration.examinations == 400
