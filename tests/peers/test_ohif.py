"""What a radiologist sees: our results in the real OHIF, in a real browser, from Orthanc's DICOMweb.

The study with rectangles went through a running node: its last image came late, was named left, and came
again as what it is; that with outlines is drawn by the builders. OHIF and the driver of the browser come
with ``npm ci --prefix tests/browser``, Chromium and Orthanc's plugin from Debian. `tests/browser/walk.mjs`
walks through each study once; the tests compare what it saw with what the report says.
"""

import io
import json
import subprocess
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from inference.findings import Landmarks
from tests.support import docs_pictures, results, ungated
from tests.support.mammograms import lesion_centre, mammogram, standard_views, write
from tests.support.node_process import MODEL, NodeProcess, peer
from tests.support.orthanc import Orthanc
from tests.support.peers import free_port, missing, require

pytestmark = [pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore::ResourceWarning")]

BROWSER = Path(__file__).parents[1] / "browser"
OHIF = BROWSER / "node_modules/@ohif/app/dist"
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
SIZE = {"rows": 1280, "columns": 1024}
FORM = {**SIZE, "VOILUTFunction": None}
"""OHIF 3.13.2 shows no image that has a VOI LUT Function: it takes the first letter for the function."""
NEAR = 2.5
"""Pixels of the window, about as wide as two lines."""
SQUARE = 4
"""Side of the squares, in pixels of the window, whose colours are compared: scaling changes single pixels."""
TOLERANCE = 24
"""Of 256, so much may a channel of a square differ."""
COLOURED = 60
"""Of 256, so much the channels of a square differ that is not grey."""
REACH = 3
"""Pixels of the window around a point in which its line is looked for."""
HANDLE = 7
"""Radius of the circle that OHIF draws at a corner of what is selected, in pixels of the window."""


def outlined_study(folder):
    """Return sources and results of a study whose right breast is flagged, its regions as outlines."""
    views = standard_views(study="outline", **FORM)
    views[0] = mammogram("R", "CC", number=1, lesion=True, study="outline", **FORM)
    lesion = results.region(*lesion_centre("R", **SIZE), along=180, across=120)
    elsewhere = results.region(610, 800, along=150, across=90)
    findings = [
        of_side("R", results.measured(results.MALIGNANT, at=lesion)),
        of_side("L", results.measured(results.NORMAL)),
        of_side("R", results.measured(results.NORMAL_BUT_REACHED, at=elsewhere)),
        of_side("L", results.measured(results.NORMAL)),
    ]
    images = [
        results.study_image(header, finding, folder) for header, finding in zip(views, findings, strict=True)
    ]
    return views, results.objects(images, options=results.with_options(sr_region="outline"))


def of_side(laterality, finding):
    """Return ``finding`` with chest wall and nipple where `mammograms.pixel_values` draws them."""
    depth = 0.72 * SIZE["columns"]
    wall, nipple = ("left", depth) if laterality == "L" else ("right", SIZE["columns"] - depth)
    landmarks = Landmarks(chest_wall=wall, nipple=(nipple, SIZE["rows"] / 2), depth=depth)
    return replace(finding, landmarks=landmarks)


def node_that_flags_everything(folder, port):
    """Return a node that is not started; Orthanc at ``port`` is its peer."""
    model = ungated.copy(MODEL, folder / "model")
    flagged = f'[model]\nname = "{model}"\nflag = 0.0001\n'
    return NodeProcess(folder, peers=peer("ORTHANC", port), quiet_seconds=3, extra=flagged)


def reports_on_a_corrected_image(node, orthanc, folder):
    """Have ``orthanc`` send ``node`` three views, then a fourth one of the wrong side, then of the right one.

    Returns the three reports, the current one first.
    """
    views = standard_views(study="rectangle", **FORM)
    corrected = views.pop(2)
    late = deepcopy(corrected)
    late.ImageLaterality, late.PatientOrientation, late.SeriesDescription = "L", ["A", "FR"], "L MLO"
    # report, summary, and heatmaps: of all, of the left breast, and of all again
    for delivered, reports, arriving in ((5, 1, views), (10, 2, [late]), (16, 3, [corrected])):
        files = [write(view, folder / f"{view.SOPInstanceUID}.dcm") for view in arriving]
        sent = orthanc.store({"Resources": [orthanc.upload(file)["ID"] for file in files]})
        assert sent["State"] == "Success"
        node.lines.wait_for("result delivered", times=delivered, seconds=240)
        rows = [row[2] for row in orthanc.instances(late.StudyInstanceUID).values() if row[0] == "SR"]
        assert len(rows) == reports
    read = [pydicom.dcmread(io.BytesIO(orthanc.file(instance))) for instance in rows]
    return sorted(read, key=lambda report: -report.InstanceNumber)


@contextmanager
def walk_in_browser(words):
    """Start a walk, which does not outlive this."""
    process = subprocess.Popen(map(str, words), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def record_of(process):
    """Return what a walk has seen, at its end."""
    output, errors = process.communicate(timeout=850)
    assert process.returncode == 0, errors.decode()
    return json.loads(output)


@pytest.fixture(scope="module")
def screens(tmp_path_factory):
    """Return by shape what the walk saw, the current report and those before, and the pictures' folder."""
    if not OHIF.is_dir() or not DICOMWEB.exists():
        missing("OHIF or Orthanc's DICOMweb is not installed: npm ci --prefix tests/browser")
    program, chromium, folder = require("node"), require("chromium"), tmp_path_factory.mktemp("ohif")
    port = free_port()
    node = node_that_flags_everything(folder / "node", port)
    archive = Orthanc(
        folder / "orthanc", node_port=node.port, port=port, plugins=[DICOMWEB], OverwriteInstances=True
    )
    with archive as orthanc:
        views, objects = outlined_study(folder)
        for number, item in enumerate([*views, *objects]):
            orthanc.upload(write(item, folder / f"{number}.dcm"))
        reports = {"outline": objects[:1]}
        words = [program, BROWSER / "walk.mjs", OHIF, orthanc.rest_port, chromium, folder]
        # the first walk goes on while the node reads the other study, and the second beside it
        with walk_in_browser([*words, objects[0].StudyInstanceUID]) as of_outline:
            with node:
                reports["rectangle"] = reports_on_a_corrected_image(node, orthanc, folder)
            with walk_in_browser([*words, reports["rectangle"][0].StudyInstanceUID]) as of_rectangle:
                walks = {walk["study"]: walk for walk in (record_of(of_rectangle), record_of(of_outline))}
        for study, walk in walks.items():
            instances = orthanc.instances(study)
            for picture in walk["pictures"]:
                identifier = instances[picture["image"].split("/")[-3]][2]
                picture["sent"] = pydicom.dcmread(io.BytesIO(orthanc.file(identifier)))
    studies = {shape: documents[0].StudyInstanceUID for shape, documents in reports.items()}
    rectangle, outline = (folder / f"{studies[shape]}-mark-1.png" for shape in ("rectangle", "outline"))
    summary, heatmap = (folder / f"{studies['outline']}-{name}-1.png" for name in ("summary", "heatmap"))
    docs_pictures.save_ohif(
        {"rectangle": rectangle, "outline": outline, "heatmap": heatmap, "summary": summary}
    )
    return {
        shape: (walks[documents[0].StudyInstanceUID], documents, folder)
        for shape, documents in reports.items()
    }


@pytest.fixture(params=["rectangle", "outline"])
def walk(request, screens):
    return screens[request.param]


def regions(report):
    """The label of every marked region, the UID of its image and its line, in the report's order."""
    marked = []
    for group in results.named(report, pydicom.sr.coding.Code("125007", "DCM", "Measurement Group")):
        shape = next(item for item in group.ContentSequence if item.ValueType == "SCOORD")
        if len(shape.GraphicData) != 2 * 9:
            line = np.array(shape.GraphicData, float).reshape(-1, 2)
            image = shape.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
            marked.append((results.comments(group)[0], image, line))
    return marked


def on_screen(line, corners):
    """Return where ``line``, in pixels of the image, lies in the window."""
    (left, top), (right, bottom) = corners
    scale = np.array([(right - left) / SIZE["columns"], (bottom - top) / SIZE["rows"]])
    return line * scale + (left, top)


def squares(pixels, corners):
    """Return the colours of ``pixels`` between ``corners`` of the window, by squares of `SQUARE`."""
    (left, top), (right, bottom) = corners
    size = round((right - left) / SQUARE), round((bottom - top) / SQUARE)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX), int)


def window(folder, study, picture):
    """Return the colours of the window where ``picture`` lies, by squares."""
    (left, top), (right, bottom) = picture["corners"]
    shot = Image.open(folder / f"{study}-{picture['name']}.png").convert("RGB")
    part = shot.crop([round(edge) for edge in (left, top, right, bottom)])
    return squares(np.asarray(part), picture["corners"])


def test_every_contour_is_reached_and_tracked_under_its_label(walk):
    saw, (report, *_), _ = walk
    marked = regions(report)
    assert len(marked) >= 2
    assert [mark["label"] for mark in saw["marks"]] == [label for label, _, _ in marked]
    for mark, (_, image, _) in zip(saw["marks"], marked, strict=True):
        assert f"/{image}/" in mark["image"]


def test_the_panel_names_side_and_class(walk):
    saw, (report, *_), _ = walk
    labels = [label for label, _, _ in regions(report)]
    assert saw["panel"].startswith(f"{len(labels)})")
    assert saw["panel"].count("Right breast") == sum(label.startswith("AI R ") for label in labels)
    assert saw["panel"].count("Left breast") == sum(label.startswith("AI L ") for label in labels)
    assert saw["panel"].count("Malignant") == len(labels)


def test_a_rectangle_lies_where_it_is_meant(screens):
    saw, (report, *_), _ = screens["rectangle"]
    for mark, (_, _, line) in zip(saw["marks"], regions(report), strict=True):
        expected = on_screen(line, mark["corners"])
        [(left, top, width, height)] = mark["rectangles"]
        drawn = np.array([(left, top), (left + width, top + height)])
        assert np.abs(drawn - expected[[0, 2]]).max() < NEAR


def test_the_line_is_seen_at_its_place_in_the_picture_and_nowhere_else(walk):
    saw, (report, *_), folder = walk
    for number, (mark, (_, _, line)) in enumerate(zip(saw["marks"], regions(report), strict=True), start=1):
        picture = np.asarray(Image.open(folder / f"{saw['study']}-mark-{number}.png").convert("RGB"), int)
        red, green, blue = np.moveaxis(picture, 2, 0)
        line_of_ohif = green - np.maximum(red, blue) > 60  # what is selected is green, the mammogram is grey
        corners = on_screen(line, mark["corners"])
        along = np.concatenate([np.linspace(a, b, 20) for a, b in pairwise(corners)])
        assert share_seen(line_of_ohif, along) > 0.95
        middle = along.mean(axis=0)
        inside = middle + 0.4 * (along - middle)
        from_the_line = np.linalg.norm(inside[:, None] - along[None], axis=2).min(axis=1)
        off_the_line = inside[from_the_line > HANDLE + 2 * REACH]  # a narrow mark has no such place
        assert not off_the_line.size or share_seen(line_of_ohif, off_the_line) < 0.1


def share_seen(drawn, points):
    """Return the share of ``points`` with something ``drawn`` around them."""
    squares = [
        drawn[int(y) - REACH : int(y) + REACH + 1, int(x) - REACH : int(x) + REACH + 1] for x, y in points
    ]
    return np.mean([square.any() for square in squares])


def test_after_a_late_and_a_corrected_image_each_report_names_the_one_that_it_replaces(screens):
    _, reports, _ = screens["rectangle"]
    for report, replaced in pairwise(reports):
        (predecessor,) = report.PredecessorDocumentsSequence
        (series,) = predecessor.ReferencedSeriesSequence
        assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == replaced.SOPInstanceUID
    sides = [" ".join(sorted(label.split()[1] for label, _, _ in regions(report))) for report in reports]
    assert sides == ["L L R R", "L L L R", "L L R"]


def test_after_a_late_and_a_corrected_image_all_results_are_listed_and_the_current_ones_told_apart(screens):
    saw, (report, *_), _ = screens["rectangle"]
    listed = "\n".join(saw["series"])
    assert report.SeriesDescription == "AI: flagged R and L - report 3 - NOT FOR DIAGNOSTIC USE"
    for kind in ("report", "summary", "heatmap"):
        for name in (kind, f"{kind} 2", f"{kind} 3"):
            assert listed.count(f"AI: flagged R and L - {name} - ") == 1
    assert saw["current"] == 3


def test_every_picture_is_listed_and_opened_under_its_description(walk):
    saw, (report, *_), _ = walk
    listed = "\n".join(saw["series"])
    assert report.SeriesDescription in listed
    assert report.SeriesDescription.startswith(
        ("AI: flagged R and L - report 3 - ", "AI: flagged R - report - ")
    )
    assert report.SeriesInstanceUID not in saw["report"]  # what is shown is the image that it speaks of
    kinds = [picture["kind"] for picture in saw["pictures"]]
    assert (kinds.count("summary"), kinds.count("heatmap") + kinds.count("no region")) == (1, 4)
    for picture in saw["pictures"]:
        assert picture["sent"].SeriesDescription in listed
        assert picture["sent"].SeriesDescription in picture["words"]


def test_what_is_drawn_of_a_picture_is_what_was_sent(walk):
    saw, _, folder = walk
    for picture in saw["pictures"]:
        drawn = window(folder, saw["study"], picture)
        differences = {}
        for candidate in saw["pictures"]:
            sent = squares(candidate["sent"].pixel_array, picture["corners"])
            differences[candidate["image"]] = np.abs(drawn - sent).max(axis=2)
        differing = {image: np.mean(difference > TOLERANCE) for image, difference in differences.items()}
        # what OHIF writes over a picture lies over a small part of it
        assert differing[picture["image"]] < 0.08, picture["name"]
        assert min(differing, key=differing.get) == picture["image"]


def test_heat_is_seen_in_its_colours_at_its_place(walk):
    saw, _, folder = walk
    heated = [picture for picture in saw["pictures"] if picture["kind"] == "heatmap"]
    assert heated
    for picture in heated:
        sent = squares(picture["sent"].pixel_array, picture["corners"])
        picture_rows = round(0.7 * len(sent))  # what is below is the legend
        colour = np.ptp(sent[:picture_rows], axis=2) > COLOURED
        assert colour.sum() >= 4
        drawn = window(folder, saw["study"], picture)[:picture_rows]
        assert np.mean(np.abs(drawn - sent[:picture_rows]).max(axis=2)[colour] <= TOLERANCE) > 0.9
        assert np.mean(np.ptp(drawn, axis=2)[~colour] > COLOURED) < 0.02


def test_ohif_complains_of_nothing(walk):
    saw, _, _ = walk
    assert saw["faults"] == []
