"""The console as people use it, in a real browser: by links, with dropped files, by keys, without scripts.

The driver and axe-core come with ``npm ci --prefix tests/browser``, Chromium from Debian. One browser
makes the whole visit (`tests/browser/visit.mjs`), each test looks at one part of its record.
"""

import json
import os
import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import SecondaryCaptureImageStorage

from inference.network import manifest
from scp.configuration.sections import Peer
from scp.console import access
from scp.console.pages.model import PLOTS
from storage import users
from storage.queue import deliveries
from tests.support import ungated
from tests.support.in_process import InProcessNode, ScriptedAnalyst
from tests.support.mammograms import mammogram, standard_views, uid, write
from tests.support.peers import missing, require
from tests.support.web import Console

pytestmark = pytest.mark.timeout(600)

BROWSER = Path(__file__).parents[1] / "browser"
PASSWORD = "correct horse battery staple"
STUDIES = {"desk": "1", "phone": "2", "wall": "3"}
"""Those that are read, each in a window of its own size."""
GIVEN_UP = "4"
"""The study that nobody has taken, and whose images could not be analysed."""
DESTINATIONS = {"desk": "ONE", "phone": "TWO", "wall": "THREE"}
"""Those who have not taken it: each is mended in a window of its own size."""
SIZES = pytest.mark.parametrize("size", list(STUDIES))
MORE_STUDIES = 50
"""Beside those: more than one page."""
PAGES_AND_THEMES = 11 * 3 * 2


@pytest.fixture(scope="module")
def visit(tmp_path_factory):
    if not (BROWSER / "node_modules/axe-core").is_dir():
        missing("axe-core and the driver of the browser are not installed: npm ci --prefix tests/browser")
    node, chromium, folder = require("node"), require("chromium"), tmp_path_factory.mktemp("chromium")
    fill(folder)
    model = ungated.copy("document-cnn-1.2.0", folder / "model")
    for name in ("card.md", *PLOTS):
        shutil.copy(manifest.shipped("document-cnn-1.2.0") / name, model)
    (folder / "config.toml").write_text(
        f"""
[node]
data_dir = "data"
[model]
name = "{model}"
[[peers]]
ae_title = "PACS"
host = "127.0.0.1"
port = 104
"""
    )
    console = Console(folder / "config.toml")
    address = f"http://127.0.0.1:{console.port}"
    studies = ",".join(uid("study", study) for study in STUDIES.values())
    words = [node, BROWSER / "console.mjs", address, chromium, studies, ",".join(files(folder))]
    environment = {**os.environ, "CONSOLE_USER": f"ada:{PASSWORD}"}
    with console.with_quick_readers():
        process = subprocess.run(
            [str(word) for word in words], capture_output=True, timeout=550, check=False, env=environment
        )
    assert console.stop() == 0
    assert process.returncode == 0, process.stderr.decode()
    return json.loads(process.stdout)


def fill(folder):
    """Make the data of a node: studies that were read and sent, one given up, others that wait, and users."""
    clinic = Peer(ae_title="CLINIC", results_to=tuple(DESTINATIONS.values()))
    reachable = [Peer(ae_title=name, host="127.0.0.1", port=104) for name in ("PACS", *DESTINATIONS.values())]
    node = InProcessNode(folder, peers=(clinic, *reachable), analyst=FaultyAnalyst())
    for study in STUDIES.values():
        node.receive(*standard_views(rows=640, columns=512, study=study))
    node.receive(mammogram("L", "CC", rows=64, columns=48, study=GIVEN_UP), calling_ae="CLINIC")
    node.work(later=timedelta(hours=1))
    node.deliver()
    with node.database.write() as tx:
        for rows_owed in deliveries.due(tx, now=node.now).values():
            for delivery in rows_owed:
                deliveries.never(tx, delivery.id, status=0xA700, reason="it has no room", now=node.now)
    for number in range(MORE_STUDIES):
        node.receive(mammogram("L", "CC", rows=64, columns=48, study=f"1{number}"))
    with node.database.write() as tx:
        for name, role in (("ada", "admin"), ("vera", "viewer"), ("olaf", "operator")):
            users.add(tx, name, role=role, password_hash=access.hashed(PASSWORD), now=node.now)
        users.grant(tx, "0" * 64, "vera", label="grafana", now=node.now)
        users.set_disabled(tx, "olaf", disabled=True)
    node.close()


class FaultyAnalyst(ScriptedAnalyst):
    """Stumbles over small images, as a fault of ours would make it."""

    def analyse(self, path, image):
        if image.rows == 64:
            raise RuntimeError("a fault of the test")
        return super().analyse(path, image)


def files(folder):
    """Make what people send: a picture, no picture, a mammogram as DICOM, and one that is not analysed."""
    left = mammogram("L", "CC", lesion=True, rows=1280, columns=1024)
    values = left.pixel_array
    Image.fromarray((values / values.max() * 255).astype(np.uint8)).save(folder / "left.png")
    (folder / "words.png").write_bytes(b"no picture")
    write(left, folder / "left.dcm")
    capture = mammogram("L", "CC", sop_class=SecondaryCaptureImageStorage, Modality="CT")
    write(capture, folder / "ct.dcm")
    return [str(folder / name) for name in ("left.png", "words.png", "left.dcm", "ct.dcm")]


def test_axe_finds_nothing_on_any_page_at_any_size_in_either_theme(visit):
    assert visit["sweep"]["looks"] == PAGES_AND_THEMES
    assert visit["sweep"]["violations"] == []


def test_every_page_fits_from_a_phone_to_a_wall(visit):
    assert visit["sweep"]["overflows"] == []


def test_no_page_fails_or_asks_anybody_else(visit):
    assert visit["errors"] == []
    assert visit["foreign"] == []


def test_a_wrong_password_is_told_and_the_right_one_opens_the_overview(visit):
    record = visit["signIn"]
    assert (record["asked"], record["heading"]) == ("/sign-in", "Overview")
    assert record["refused"].startswith("Name or password is wrong")


def test_links_lead_to_every_page(visit):
    record = visit["look"]
    headings = ["Overview", "Studies", "Analyse a file", "document-cnn 1.2.0", "Users", "For programs"]
    assert record["headings"] == headings
    assert "The node is not running" in record["overview"]
    assert "The last 24 hours" in record["overview"]


def test_the_plots_of_the_card_are_seen(visit):
    assert len(visit["look"]["plots"]) == len(PLOTS)
    assert min(visit["look"]["plots"]) > 100


@SIZES
def test_a_button_of_the_overview_sends_again_and_says_what(visit, size):
    record, name = visit["walks"][size]["again"], DESTINATIONS[size]
    number = re.match(rf"{name} has not taken (\d+) objects: it has no room", record["alarm"])[1]
    assert record["said"] == f"{number} results will be sent again."
    assert not any(name in need for need in record["left"])
    assert record["peer"][3:5] == [number, "0"]  # owed, and none parked


def test_windows_are_dark_where_the_machine_is(visit):
    assert sum(brightness(visit["walks"]["wall"]["again"]["background"])) < 100
    assert sum(brightness(visit["walks"]["phone"]["again"]["background"])) > 600


def test_a_viewer_sees_what_it_may(visit):
    record = visit["look"]
    assert record["links"] == ["Overview", "Studies", "Analyse a file", "Model"]
    assert record["buttons"] == 0
    assert "this needs a user with the role admin" in record["refused"].lower()


def test_the_overview_refreshes_itself_and_says_where_nobody_answers(visit):
    silence = visit["look"]["silence"]
    assert not silence["before"]
    assert silence["words"].startswith("The console does not answer")


def test_the_theme_is_what_its_button_says_on_the_next_page_too(visit):
    dark, light = visit["theme"]["Dark"], visit["theme"]["Light"]
    assert sum(brightness(dark)) < 100
    assert sum(brightness(light)) > 600
    assert visit["theme"]["Auto"] == light  # as the browser of the test prefers


def brightness(colour):
    return [int(number) for number in re.findall(r"\d+", colour)][:3]


def test_files_are_dropped_and_shown_at_once(visit):
    record = visit["analyse"]
    assert record["over"]
    pictures = {name for entry in record["shown"] for name in entry["pictures"]}
    assert pictures >= {"left.png", "left.png: preview", "left.dcm: preview"}


def test_bars_of_upload_and_analysis_move(visit):
    for name in ("Upload", "Analysis of left.png"):
        values = [value for entry in visit["analyse"]["shown"] for bar, value in entry["bars"] if bar == name]
        values = values[: values.index(100) + 1] if 100 in values else values  # the second upload begins anew
        assert values == sorted(values)
        assert len({value for value in values if 0 < value < 100}) > 1, values


def test_a_result_has_label_confidence_and_classes_in_plain_words(visit):
    picture, words, image, _ = visit["analyse"]["results"]
    for result in (picture, image):
        assert re.search(r"confidence \d{1,3}\.\d\d %", result), result
        assert len(re.findall(r"\d\.\d\d %", result)) == 5
    assert "left.dcm L CC" in image
    assert "No result: the file could not be analysed." in words
    assert len(visit["analyse"]["classes"]) == 4
    assert "harmless at first sight" in visit["analyse"]["classes"][2]


@SIZES
def test_a_chosen_file_is_analysed_and_what_is_no_mammogram_is_an_alert(visit, size):
    record = visit["walks"][size]["analyse"]
    assert re.search(r"confidence \d{1,3}\.\d\d %", record["answer"])
    assert "No result: this was not taken for a mammogram" in record["alert"]
    assert record["heatmap"][:2] == ["heatmap-1.png", "\x89P"]
    assert "left.png" in record["earlier"]
    assert record["left"] == 1  # the other upload was forgotten when its button was pressed


@SIZES
@pytest.mark.parametrize("page", ["studies", "analyse"])
def test_the_slider_fades_the_heatmap_on_the_screen(visit, size, page):
    full, faded, full_again = visit["walks"][size][page]["coloured"]
    assert full == full_again > 0
    assert faded == 0


@SIZES
def test_the_list_is_searched_and_paged(visit, size):
    record = visit["walks"][size]["studies"]
    assert record["first"] == [50, "page 1 of 2 Older"]
    assert record["second"] == [4, "Newer page 2 of 2"]
    assert record["needed"].startswith("1 study found")
    assert record["none"] == "No study fits. Show all"
    assert record["found"].startswith("1 study found")
    assert record["named"][0] != record["named"][1]
    assert f"Doe, Jane · SYN{STUDIES[size]}" in record["named"][1]


@SIZES
def test_a_study_shows_what_was_found(visit, size):
    record = visit["walks"][size]["studies"]
    assert record["state"] == "delivered"
    assert record["beside"]
    assert record["bars"] == ["10.00 %", "20.00 %", "10.00 %", "60.00 %"]
    assert "Pixel Data Rows 640 pixels" in record["report"]
    assert record["deliveries"].count("0x0000") >= 5
    assert "received" in record["history"]
    assert "Patient name Doe, Jane" in record["identity"]
    assert "Birth date 1960-01-02" in record["identity"]


@SIZES
def test_results_are_downloaded(visit, size):
    (bundle, zip_head, _), (report, _, dicom_head) = visit["walks"][size]["studies"]["downloads"]
    assert (bundle[-4:], zip_head) == (".zip", "PK")
    assert (report[-4:], dicom_head) == (".dcm", "DICM")


@SIZES
def test_the_buttons_of_a_study_say_what_they_did(visit, size):
    record = visit["walks"][size]["studies"]
    assert record["retried"].startswith("Nothing here was given up")
    assert record["again"].startswith("4 images are analysed again")
    assert record["stateAgain"] == "being analysed"


@SIZES
def test_an_admin_adds_changes_and_removes_a_user(visit, size):
    record = visit["walks"][size]["users"]
    assert "operator" in record["added"]
    assert re.search(r"srt_[\w-]{20}", record["token"])
    assert "disabled" in record["disabled"]
    assert not any("nora" in name for name in record["left"])


def test_the_keyboard_is_enough(visit):
    record = visit["keyboard"]
    assert (record["first"], record["skipped"], record["faded"]) == ("To the content", "main", "0")
    assert record["unseen"] == []


def test_forms_work_without_javascript(visit):
    record = visit["withoutScript"]
    assert record["again"] == "1 job starts over."
    assert record["found"].startswith("1 study found")
    assert record["older"] == "Newer page 2 of 2"
    assert record["report"]
    assert not record["faders"]
    assert re.search(r"confidence \d{1,3}\.\d\d %", record["result"])
