"""Images go before their results: the header stays, and all that is made of it."""

import os
from dataclasses import replace
from datetime import timedelta

import pytest

from scp.configuration.sections import Retention
from storage.queue import arrivals, commitment_questions
from storage.records import JobKind
from storage.upkeep import retention
from tests.support.archive_scp import reports
from tests.support.in_process import START, InProcessNode
from tests.support.mammograms import mammogram, standard_views

QUIET = timedelta(seconds=181)


@pytest.fixture
def node(tmp_path):
    opened = InProcessNode(tmp_path)
    opened.settings = opened.settings.model_copy(update={"retention": Retention(image_days=3, days=14)})
    opened.tasks = replace(opened.tasks, settings=opened.settings)
    yield opened
    opened.close()


def kept_files(node):
    return [path for path in node.archive.data_dir.rglob("*-*.*") if path.is_file()]


def answer(node, *images):
    node.receive(*images)
    node.work(later=QUIET)
    return node.deliver()


def thinned(node, *images):
    """Answer ``images``, and let the time of their pixels be over; return the answer."""
    answered = answer(node, *images)
    node.now += timedelta(days=4)
    node.tasks.remove_old_studies()
    return answered


def image_files(node):
    return list((node.archive.data_dir / "instances").rglob("*.dcm"))


def test_images_go_before_results_which_can_still_be_made(node):
    before = {instance.SOPInstanceUID: instance for instance in thinned(node, *standard_views())}
    assert image_files(node) == []
    assert len(list((node.archive.data_dir / "results").rglob("*.dcm"))) == len(before)
    late = answer(node, mammogram("R", "CC", number=5))
    (report,) = reports(late)
    assert report.PredecessorDocumentsSequence
    referenced = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert sum(len(series.ReferencedSOPSequence) for series in referenced) == 5
    node.now += timedelta(days=30)
    node.tasks.remove_old_studies()
    assert kept_files(node) == []


def test_a_study_that_comes_again_after_its_images_went_is_whole_again_and_says_the_same(node):
    before = thinned(node, *standard_views())
    node.receive(*standard_views())
    assert len(image_files(node)) == 4
    assert node.work(later=QUIET) == []
    assert node.results_owed() == []
    with node.database.read() as tx:
        assert {image.pixels_removed_at for image, _ in arrivals.images(tx, before[0].StudyInstanceUID)} == {
            None
        }
    assert len(kept_files(node)) == len(retention_names(node))


def test_other_pixels_than_those_that_went_are_analysed(node):
    thinned(node, mammogram("R", "CC"))
    other_image = mammogram("R", "CC")
    other_image.PixelData = bytes(len(other_image.PixelData))
    node.receive(other_image)
    assert JobKind.ANALYSE in node.work(later=QUIET)
    assert len(image_files(node)) == 1


@pytest.mark.parametrize("step", ["replace_file", "unneeded"])
def test_a_kill_while_images_go_leaves_files_and_rows_in_step(node, monkeypatch, step):
    answer(node, *standard_views())
    node.now += timedelta(days=4)
    with monkeypatch.context() as killed:
        killed.setattr(
            retention if step == "replace_file" else arrivals, step, lambda *_, **__: pytest.fail("killed")
        )
        with pytest.raises(pytest.fail.Exception):
            node.tasks.remove_old_studies()
    for path in kept_files(node):
        os.utime(path, (START.timestamp(), START.timestamp()))  # by the hand clock
    assert node.sweep() == (1, 0)
    assert len(kept_files(node)) == len(retention_names(node))
    node.tasks.remove_old_studies()
    assert image_files(node) == []


def test_images_of_all_go_before_any_study_where_the_disk_is_nearly_full(node, monkeypatch):
    answer(node, *standard_views())
    answer(node, *standard_views(study="2"))
    reserve = node.settings.node.disk_reserve_mb * 1_000_000
    monkeypatch.setattr(node.archive.__class__, "free_bytes", lambda _: round(reserve * 1.5) - 1)
    node.tasks.free_disk_space()
    assert len(image_files(node)) == 4
    assert len(node.known_studies()) == 2


def test_what_was_promised_keeps_its_pixels(node):
    answer(node, *standard_views())
    with node.database.write() as tx:
        images = [image for image, _ in arrivals.images(tx, standard_views()[0].StudyInstanceUID)]
        commitment_questions.promise(tx, images[:1], peer="PACS", now=node.now)
    node.now += timedelta(days=4)
    node.tasks.remove_old_studies()
    assert len(image_files(node)) == 4


def retention_names(node):
    with node.database.read() as tx:
        return retention.referenced_files(tx)
