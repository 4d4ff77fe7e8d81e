"""What a radiologist sees: our results in the real OHIF, in a real browser, from Orthanc's DICOMweb.

OHIF and the driver of the browser come with ``npm ci --prefix tests/browser``, Chromium and Orthanc's plugin
from Debian. `tests/browser/walk.mjs` walks through each study once; the tests compare what it saw with what
the report says.
"""

import json
import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from tests.support import results
from tests.support.mammograms import lesion_centre, mammogram, write
from tests.support.orthanc import Orthanc
from tests.support.peers import free_port, missing, require

pytestmark = [pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore::ResourceWarning")]

BROWSER = Path(__file__).parents[1] / "browser"
OHIF = BROWSER / "node_modules/@ohif/app/dist"
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
SIZE = {"rows": 1280, "columns": 1024}
NEAR = 2.5
"""Pixels of the window, about as wide as two lines."""


def study(shape, folder):
    """Return sources and results of a study whose right breast is flagged, the current report first.

    In the study of rectangles the last image came late: the report without it is the last result.
    """
    views = [
        # OHIF 3.13.2 shows no image that has a VOI LUT Function: it takes the first letter for the function
        mammogram(side, view, number=number, lesion=side == "R", study=shape, VOILUTFunction=None, **SIZE)
        for number, (side, view) in enumerate((("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO")), start=1)
    ]
    lesion = results.region(*lesion_centre("R", **SIZE), along=180, across=120)
    elsewhere = results.region(610, 800, along=150, across=90)
    found = [
        results.measured(results.MALIGNANT, at=lesion),
        results.measured(results.NORMAL),
        results.measured(results.NORMAL_BUT_REACHED, at=elsewhere),
        results.measured(results.NORMAL),
    ]
    images = [
        results.study_image(header, finding, folder) for header, finding in zip(views, found, strict=True)
    ]
    options = results.with_options(sr_region=shape)
    if shape == "outline":
        return views, results.objects(images, options=options)
    early, *_ = results.of_kind([*images[:2], images[3]], "SR", options=options)
    replaced = results.predecessor_of(early, images=3)
    return views, [*results.objects(images, options=options, predecessor=replaced), early]


@pytest.fixture(scope="module")
def screens(tmp_path_factory):
    """Return by shape what the walk saw, the report, and the folder of pictures."""
    if not OHIF.is_dir() or not DICOMWEB.exists():
        missing("OHIF or Orthanc's DICOMweb is not installed: npm ci --prefix tests/browser")
    node, chromium, folder = require("node"), require("chromium"), tmp_path_factory.mktemp("ohif")
    studies_made = {shape: study(shape, folder) for shape in ("rectangle", "outline")}
    with Orthanc(folder / "orthanc", node_port=free_port(), plugins=[DICOMWEB]) as orthanc:
        for views, objects in studies_made.values():
            for number, item in enumerate([*views, *objects]):
                orthanc.upload(write(item, folder / f"{number}.dcm"))
        studies = [views[0].StudyInstanceUID for views, _ in studies_made.values()]
        words = [node, BROWSER / "walk.mjs", OHIF, orthanc.rest_port, chromium, folder, *studies]
        process = subprocess.run([str(word) for word in words], capture_output=True, timeout=850, check=False)
    assert process.returncode == 0, process.stderr.decode()
    walks = {walk["study"]: walk for walk in json.loads(process.stdout)}
    return {
        shape: (walks[views[0].StudyInstanceUID], objects[0], folder)
        for shape, (views, objects) in studies_made.items()
    }


@pytest.fixture(params=["rectangle", "outline"])
def walk(request, screens):
    return screens[request.param]


def regions(report):
    """The line of every marked region with the UID of its image, in the report's order."""
    found = []
    for group in results.named(report, pydicom.sr.coding.Code("125007", "DCM", "Measurement Group")):
        shape = next(item for item in group.ContentSequence if item.ValueType == "SCOORD")
        if len(shape.GraphicData) != 2 * 9:
            line = np.array(shape.GraphicData, float).reshape(-1, 2)
            found.append((shape.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID, line))
    return found


def on_screen(line, corners):
    """Return where ``line``, in pixels of the image, lies in the window."""
    (left, top), (right, bottom) = corners
    scale = np.array([(right - left) / SIZE["columns"], (bottom - top) / SIZE["rows"]])
    return line * scale + (left, top)


def test_every_contour_is_reached_and_tracked_under_its_label(walk):
    saw, report, _ = walk
    expected = [
        text for text in results.comments(report) if text.startswith("AI R") and "malignant score" in text
    ]
    assert [mark["label"] for mark in saw["marks"]] == expected
    assert len(expected) == 2
    for mark, (image, _) in zip(saw["marks"], regions(report), strict=True):
        assert f"/{image}/" in mark["image"]


def test_the_panel_names_side_and_class(walk):
    saw, _, _ = walk
    assert saw["panel"].startswith("2)")
    assert saw["panel"].count("Right breast") == 2
    assert "Left breast" not in saw["panel"]
    assert saw["panel"].count("Malignant") == 2


def test_a_rectangle_lies_where_it_is_meant(screens):
    saw, report, _ = screens["rectangle"]
    for mark, (_, line) in zip(saw["marks"], regions(report), strict=True):
        expected = on_screen(line, mark["corners"])
        [(left, top, width, height)] = mark["rectangles"]
        drawn = np.array([(left, top), (left + width, top + height)])
        assert np.abs(drawn - expected[[0, 2]]).max() < NEAR


def test_the_line_is_seen_at_its_place_in_the_picture_and_nowhere_else(walk):
    saw, report, folder = walk
    for number, (mark, (_, line)) in enumerate(zip(saw["marks"], regions(report), strict=True), start=1):
        picture = np.asarray(Image.open(folder / f"{saw['study']}-mark-{number}.png").convert("RGB"), int)
        red, green, blue = np.moveaxis(picture, 2, 0)
        line_of_ohif = green - np.maximum(red, blue) > 60  # what is selected is green, the mammogram is grey
        corners = on_screen(line, mark["corners"])
        along = np.concatenate([np.linspace(a, b, 20) for a, b in pairwise(corners)])
        assert share_seen(line_of_ohif, along) > 0.95
        middle = along.mean(axis=0)
        assert share_seen(line_of_ohif, middle + 0.7 * (along - middle)) < 0.1


def share_seen(drawn, points):
    """Return the share of ``points`` with something ``drawn`` around them."""
    reach = 3
    squares = [
        drawn[int(y) - reach : int(y) + reach + 1, int(x) - reach : int(x) + reach + 1] for x, y in points
    ]
    return np.mean([square.any() for square in squares])


def test_of_a_study_with_a_late_image_both_reports_are_listed_and_the_current_one_is_told_apart(screens):
    saw, report, _ = screens["rectangle"]
    listed = "\n".join(saw["series"])
    assert report.SeriesDescription == "AI: flagged R - report 2 - NOT FOR DIAGNOSTIC USE"
    assert listed.count("AI: flagged R - report 2 - ") == 1
    assert listed.count("AI: flagged R - report - ") == 1
    assert saw["current"].count("report 2") == 1


def test_heatmap_and_report_are_listed_and_shown(walk):
    saw, report, _ = walk
    listed = "\n".join(saw["series"])
    assert report.SeriesDescription in listed
    assert "S:9001" in listed
    assert report.SeriesInstanceUID not in saw["report"]  # what is shown is the image that it speaks of
    assert "/frames/1" in saw["heatmap"]


def test_ohif_complains_of_nothing(walk):
    saw, _, _ = walk
    assert saw["faults"] == []
