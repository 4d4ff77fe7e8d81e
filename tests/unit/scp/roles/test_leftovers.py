"""What the dead leave is put away by and by: who ends meanwhile leaves the rest to the next one."""

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from scp.roles import leftovers
from storage.errors import DatabaseError
from storage.files.folder import unclaimed
from tests.support.in_process import InProcessNode
from tests.support.mammograms import mammogram


def test_sweep_stops_between_two_batches_where_the_process_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(leftovers, "AT_A_TIME", 2)
    node = InProcessNode(tmp_path)
    place = SimpleNamespace(database=node.database, archive=node.archive)
    pictures = [
        node.archive.path(
            node.archive.keep_bytes(b"picture", folder="heatmaps", key=str(number), suffix=".png")
        )
        for number in range(5)
    ]

    def number_of_pictures():
        return sum(picture.exists() for picture in pictures)

    leftovers.sweep(place, lambda: number_of_pictures() < 5, is_left=lambda _: True)
    assert number_of_pictures() == 3
    leftovers.sweep(place, lambda: False, is_left=lambda _: True)
    assert number_of_pictures() == 0
    node.close()


@pytest.fixture
def node(tmp_path):
    opened = InProcessNode(tmp_path / "node")
    yield opened
    opened.close()


def first_sweep(node, *, ending=lambda: False, in_order=False):
    """Return the sweep of a start that comes now: what lies there was written a minute ago."""
    for path in filter(Path.is_file, node.archive.data_dir.glob("*/*/*")):
        os.utime(path, (time.time() - 60, time.time() - 60))
    return leftovers.FirstSweep(node.tasks, ending, in_order=in_order)


def test_a_start_puts_away_what_a_kill_has_left_and_nothing_that_comes_since(node):
    node.receive(mammogram("R", "CC"))
    left = node.archive.keep_bytes(b"picture", folder="heatmaps", key="left", suffix=".png")
    unknown = node.archive.keep_bytes(b"image", folder="instances", key="1.2.3", suffix=".dcm")
    sweep = first_sweep(node)
    new = node.archive.keep_bytes(b"picture", folder="heatmaps", key="new", suffix=".png")
    named = len(list(node.archive.names())) - 3
    sweep.start()
    assert sweep.end()
    assert not node.archive.holds(left)
    assert not node.archive.holds(unknown)
    assert unclaimed(node.archive.data_dir) == 1
    assert node.archive.holds(new)
    assert len(list(node.archive.names())) == named + 1


@pytest.mark.parametrize("in_order", [False, True])
def test_rows_and_files_agree_after_an_end_in_order_or_once_all_were_looked_at(node, in_order):
    left = node.archive.keep_bytes(b"picture", folder="heatmaps", key="left", suffix=".png")
    sweep = first_sweep(node, ending=lambda: True, in_order=in_order)
    sweep.start()
    assert sweep.end() is in_order
    assert node.archive.holds(left)


def test_a_start_puts_away_what_a_clock_has_dated_ahead(node):
    unknown = node.archive.keep_bytes(b"image", folder="instances", key="1.2.3", suffix=".dcm")
    sweep = first_sweep(node)
    ahead = time.time() + 3600
    os.utime(node.archive.path(unknown), (ahead, ahead))
    sweep.start()
    assert sweep.end()
    assert unclaimed(node.archive.data_dir) == 1


def test_a_clock_that_was_doubted_for_a_moment_leaves_the_rest_to_the_next_start(node, monkeypatch):
    node.archive.keep_bytes(b"picture", folder="heatmaps", key="left", suffix=".png")
    answers = iter([False])
    monkeypatch.setattr(node.tasks.clock, "believed", lambda: next(answers, True))
    sweep = first_sweep(node)
    sweep.start()
    assert not sweep.end()


def test_a_sweep_that_fails_is_made_again_by_the_next_start(node, monkeypatch):
    monkeypatch.setattr(leftovers.retention, "unnamed", failing)
    node.archive.keep_bytes(b"picture", folder="heatmaps", key="left", suffix=".png")
    sweep = first_sweep(node)
    sweep.start()
    assert not sweep.end()


def failing(*_):
    raise DatabaseError("the database is away")
