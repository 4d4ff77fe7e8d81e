"""The console as people use it, in a real browser: by links, with dropped files, by keys, without scripts.

The driver and axe-core come with ``npm ci --prefix tests/browser``, Chromium from Debian. One browser looks
at every page (`sweep.mjs`), goes through all of them in each size and theme (`round.mjs`), and does once what
does not depend on these (`visit.mjs`); each test looks at one part of its record.
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
from scp import product
from scp.configuration.sections import Model, Peer
from scp.console import access
from scp.console.pages.model import PLOTS
from storage import users
from storage.queue import deliveries
from storage.scanners.scores import Network, Scanner
from tests.support import openid, ungated
from tests.support.in_process import InProcessNode, ScriptedAnalyst
from tests.support.mammograms import mammogram, standard_views, uid, write
from tests.support.peers import free_port, missing, require
from tests.support.scored import examine
from tests.support.web import Console

pytestmark = pytest.mark.timeout(1200)

BROWSER = Path(__file__).parents[1] / "browser"
PASSWORD = "correct horse battery staple"
DESTINATIONS = {
    "desk-light": "NORTH",
    "desk-dark": "SOUTH",
    "phone-light": "RIVER",
    "phone-dark": "HARBOUR",
    "wall-light": "HILL",
    "wall-dark": "LAKE",
}
"""Who has not taken the study that was given up: each is mended on a round of its own size and theme."""
STUDIES = {name: str(number) for number, name in enumerate(DESTINATIONS, start=1)}
"""Those that are read, each on a round of its own."""
GIVEN_UP = "7"
"""The study that nobody has taken, and whose images could not be analysed."""
ROUNDS = pytest.mark.parametrize("name", list(STUDIES))
MORE_STUDIES = 50
"""Beside those: more than one page."""
PAGES_AND_THEMES = 15 * 3 * 2
TABBED = ("signIn", "studies", "analyse", "programs", "provider")
"""Steps that go through a page with the key Tab, beside those that follow the links of all pages."""
SCANNER = Scanner(manufacturer="ACME", model="Mammo 3000")
SCORES = [0.1] * 200 + [0.7] * 100 + [0.975] * 100
"""Malignant, of the scanner's examinations."""


@pytest.fixture(scope="module")
def visit(tmp_path_factory):
    if not (BROWSER / "node_modules/axe-core").is_dir():
        missing("axe-core and the driver of the browser are not installed: npm ci --prefix tests/browser")
    node, chromium, folder = require("node"), require("chromium"), tmp_path_factory.mktemp("chromium")
    model = ungated.copy("document-cnn-1.2.0", folder / "model")
    for name in ("card.md", *PLOTS):
        shutil.copy(manifest.shipped("document-cnn-1.2.0") / name, model)
    fill(folder, model)
    port = free_port()
    with openid.provider(port) as issuer:
        (folder / "config.toml").write_text(
            f"""
[node]
data_dir = "data"
[model]
name = "{model}"
{openid.section(folder, issuer, port)}
viewers = ["*"]
[[peers]]
ae_title = "PACS"
host = "127.0.0.1"
port = 104
"""
        )
        console = Console(folder / "config.toml", port=port)
        address = f"http://127.0.0.1:{port}"
        study = uid("study", STUDIES["desk-light"])
        words = [node, BROWSER / "console.mjs", address, chromium, study, ",".join(files(folder))]
        environment = {
            "CONSOLE_USER": f"ada:{PASSWORD}",
            "CONSOLE_PROVIDER": issuer,
            "CONSOLE_ROUNDS": rounds(),
        }
        with console.with_quick_readers():
            process = subprocess.run(
                [str(word) for word in words],
                capture_output=True,
                timeout=1150,
                check=False,
                env=os.environ | environment,
            )
        assert console.stop() == 0
    assert process.returncode == 0, process.stderr.decode()
    return json.loads(process.stdout) | {"issuer": issuer}


def rounds():
    """Return the rounds through all pages, as `console.mjs` is told them."""
    return json.dumps(
        [
            dict(zip(("size", "theme"), name.split("-"), strict=True))
            | {"study": uid("study", STUDIES[name]), "destination": destination}
            for name, destination in DESTINATIONS.items()
        ]
    )


def fill(folder, model):
    """Make the data of a node: studies read and sent, one given up, others that wait, scores, and users."""
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
        password_hash = access.hashed(PASSWORD)
        forgetful = {f"forgetful-{name}": "viewer" for name in STUDIES}
        for name, role in ({"ada": "admin", "vera": "viewer", "olaf": "operator"} | forgetful).items():
            users.add(tx, name, role=role, password_hash=password_hash, now=node.now)
        for name in forgetful:  # who has one try left
            for _ in range(access.MOST_FAILURES - 1):
                users.failed(tx, name, most=access.MOST_FAILURES, locked_until=node.now)
        users.grant(tx, "0" * 64, "vera", label="grafana", now=node.now)
        users.set_disabled(tx, "olaf", disabled=True)
    network = manifest.load(model)
    network = Network(name=network.name, version=network.version)
    at = node.now - timedelta(minutes=len(SCORES))
    examine(node.database, SCORES, scanner=SCANNER, network=network, at=at, prefix="1.9")
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


@ROUNDS
def test_the_keyboard_is_enough_to_sign_in(visit, name):
    assert visit["rounds"][name]["signIn"]["heading"] == "Overview"


@ROUNDS
def test_who_has_forgotten_the_password_is_locked_until_an_administrator_unlocks(visit, name):
    record = visit["rounds"][name]
    assert [answer.lower() for answer in record["lockedOut"]] == [f"{access.WRONG}."] * 2
    assert "locked until" in record["unlocked"]["before"]
    assert "locked" not in record["unlocked"]["after"]
    assert f"signed in as forgetful-{name}, viewer" in record["viewer"]["who"]


@ROUNDS
def test_links_lead_to_every_page(visit, name):
    headings = [page["heading"] for page in visit["rounds"][name]["pages"]]
    assert headings == ["Analyse a file", "document-cnn 1.2.0", "Users", "Overview"]


@ROUNDS
def test_the_key_tab_reaches_everything_and_shows_where_it_is(visit, name):
    record = visit["rounds"][name]
    pages = [*record["pages"], record["studies"]["list"], *(record[step] for step in TABBED)]
    for tabs in (page["tabs"] for page in pages):
        assert tabs["places"] > 5
        assert (tabs["missed"], tabs["unseen"]) == ([], [])


@ROUNDS
def test_the_model_page_says_what_is_in_force(visit, name):
    record, rule = visit["rounds"][name]["model"], product.flag_rule(Model(name="document-cnn-1.2.0"))
    assert record["heading"] == "document-cnn 1.2.0"
    assert f"A breast is flagged from malignant score {rule.threshold.value:.4f}" in record["inForce"]
    assert rule.threshold.source in record["inForce"]
    assert manifest.load(manifest.shipped("document-cnn-1.2.0")).sha256 in record["inForce"]


@ROUNDS
def test_the_histogram_of_a_scanner_is_on_the_screen(visit, name):
    record, threshold = (
        visit["rounds"][name]["model"],
        product.flag_rule(Model(name="document-cnn-1.2.0")).threshold.value,
    )
    flagged = sum(score >= threshold for score in SCORES) / len(SCORES)
    assert record["scanner"].startswith("ACME Mammo 3000")
    for figure in (
        "Examinations 400",
        f"Share flagged {100 * flagged:.1f} %",
        f"flagged from {threshold:.4f}",
    ):
        assert figure in record["scanner"]
    chart = record["chart"]
    heights = {number: height for number, height in enumerate(chart["bars"]) if height > 0}
    assert list(heights) == [2, 14, 19]  # of 20: scores of 0.1, 0.7 and 0.975
    assert heights[2] == pytest.approx(chart["height"], rel=0.1)
    assert [heights[14], heights[19]] == pytest.approx([heights[2] / 2] * 2, rel=0.05)
    assert chart["threshold"] == pytest.approx(threshold, abs=0.01)
    assert chart["words"][2] == "0.10 to 0.15: 200"
    assert "among the last 400 examinations of ACME Mammo 3000" in chart["name"]
    assert chart["coloured"] > 500


@ROUNDS
def test_the_card_and_its_plots_are_seen(visit, name):
    record = visit["rounds"][name]["model"]
    assert record["captions"] == list(PLOTS.values())
    assert min(min(widths) for widths in record["plots"]) > 250  # in the file, and on the screen
    assert record["whole"] == record["plots"][0][0]  # a click shows the plot alone, in its own size
    assert "Known failures" in record["card"]
    assert (record["table"] > 0) == name.startswith("phone")  # there the keyboard moves the table


@ROUNDS
def test_the_page_for_programs_lists_what_openapi_describes(visit, name):
    record = visit["rounds"][name]["programs"]
    assert (record["heading"], record["home"]) == ("For programs", "Overview")
    assert re.search(
        r"curl -H \"Authorization: Bearer …\" -F image=@left-cc\.dcm .* http://127\.0\.0\.1:\d+/predict",
        record["command"],
    )
    assert list(record["fields"]) == ["Answer", "File", "Breast", "Problem"]
    assert "/predict" in record["described"]["paths"]
    described = record["described"]["fields"]
    assert record["fields"] == {part: described[part] for part in record["fields"]}


@ROUNDS
def test_a_program_is_answered_with_the_fields_of_that_page_while_its_token_lasts(visit, name):
    record, fields = visit["rounds"][name]["users"], visit["rounds"][name]["programs"]["fields"]
    answer = record["program"]["answer"]
    assert record["program"]["status"] == 200
    assert (list(answer), list(answer["files"][0])) == (fields["Answer"], fields["File"])
    assert answer["files"][0]["status"] == "failed"
    assert record["revoked"]["status"] == 401
    assert list(record["revoked"]["answer"]) == fields["Problem"]


@ROUNDS
def test_who_has_signed_out_is_a_stranger(visit, name):
    record = visit["rounds"][name]
    assert record["out"] == record["viewer"]["out"] == ["Sign in"] * 3


@ROUNDS
def test_a_provider_vouches_for_who_comes_and_is_left_by_a_link(visit, name):
    record = visit["rounds"][name]["provider"]
    assert "signed in as eve, viewer" in record["who"]
    assert record["out"].startswith("Signed out This browser is signed out of SecondRead.")
    assert record["provider"].startswith(visit["issuer"])
    assert record["again"] == "Sign in"


@ROUNDS
def test_a_button_of_the_overview_sends_again_and_says_what(visit, name):
    record, destination = visit["rounds"][name]["again"], DESTINATIONS[name]
    assert record["hours"] == 24
    number = re.match(rf"{destination} has not taken (\d+) objects: it has no room", record["alarm"])[1]
    assert record["said"] == f"{number} results will be sent again."
    assert not any(destination in need for need in record["left"])
    assert record["peer"][3:5] == [number, "0"]  # owed, and none parked


@ROUNDS
def test_windows_are_dark_where_the_machine_is(visit, name):
    background = sum(brightness(visit["rounds"][name]["again"]["background"]))
    assert background < 100 if name.endswith("dark") else background > 600


@ROUNDS
def test_a_viewer_sees_what_it_may(visit, name):
    record = visit["rounds"][name]["viewer"]
    assert record["links"] == ["Overview", "Studies", "Analyse a file", "Model"]
    assert record["buttons"] == 0
    assert "this needs a user with the role admin" in record["problem"].lower()
    assert record["back"] == "Overview"


def test_the_overview_refreshes_itself_and_says_where_nobody_answers(visit):
    silence = visit["silence"]
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
        assert re.search(r"Breast: .*flagged.*this image alone: .*confidence \d{1,3}\.\d\d %", result), result
        assert re.search(r"malignant score \d{1,3}\.\d\d %, flagged from \d{1,3}\.\d\d %", result), result
        assert len(re.findall(r"\d\.\d\d %", result)) == 7
    assert "left.dcm L CC" in image
    assert "No result: the file could not be analysed." in words
    assert len(visit["analyse"]["classes"]) == 4
    assert "harmless at first sight" in visit["analyse"]["classes"][2]


@ROUNDS
def test_a_chosen_file_is_analysed_and_what_is_no_mammogram_is_an_alert(visit, name):
    record = visit["rounds"][name]["analyse"]
    assert re.search(r"confidence \d{1,3}\.\d\d %", record["answer"])
    assert "No result: this was not taken for a mammogram" in record["alert"]
    assert record["heatmap"][:2] == ["heatmap-1.png", "\x89P"]
    assert "left.png" in record["earlier"]
    assert record["forgotten"] == ["Analyse a file", 0]


@ROUNDS
@pytest.mark.parametrize("page", ["studies", "analyse"])
def test_the_slider_fades_the_heatmap_on_the_screen(visit, name, page):
    full, faded, full_again = visit["rounds"][name][page]["coloured"]
    assert full == full_again > 0
    assert faded == 0


@ROUNDS
def test_the_list_is_searched_and_paged(visit, name):
    record = visit["rounds"][name]["studies"]
    assert record["first"] == [50, "page 1 of 2 Older"]
    assert record["second"] == [7, "Newer page 2 of 2"]
    assert record["needed"].startswith("1 study found")
    assert record["none"] == "No study fits. Show all"
    assert record["found"].startswith("1 study found")
    assert record["named"][0] != record["named"][1]
    assert f"Doe, Jane · SYN{STUDIES[name]}" in record["named"][1]


@ROUNDS
def test_a_study_shows_what_was_found(visit, name):
    record = visit["rounds"][name]["studies"]
    assert record["state"] == "delivered"
    assert record["beside"]
    assert record["bars"] == ["10.00 %", "20.00 %", "10.00 %", "60.00 %"]
    assert "Pixel Data Rows 640 pixels" in record["report"]
    assert record["deliveries"].count("0x0000") >= 5
    assert "received" in record["history"]
    assert "Patient name Doe, Jane" in record["identity"]
    assert "Birth date 1960-01-02" in record["identity"]


@ROUNDS
def test_results_are_downloaded(visit, name):
    (bundle, zip_head, _), (report, _, dicom_head) = visit["rounds"][name]["studies"]["downloads"]
    assert (bundle[-4:], zip_head) == (".zip", "PK")
    assert (report[-4:], dicom_head) == (".dcm", "DICM")


@ROUNDS
def test_the_buttons_of_a_study_say_what_they_did(visit, name):
    record = visit["rounds"][name]["studies"]
    assert record["retried"].startswith("Nothing here was given up")
    assert record["again"].startswith("4 images are analysed again")
    assert record["stateAgain"] == "being analysed"


@ROUNDS
def test_an_admin_adds_changes_and_removes_a_user(visit, name):
    record = visit["rounds"][name]["users"]
    assert "operator" in record["added"]
    assert re.search(r"srt_[\w-]{20}", record["token"])
    assert "disabled" in record["disabled"]
    assert f"nora-{name}" not in record["left"]


def test_the_keyboard_is_enough(visit):
    record = visit["keyboard"]
    assert (record["first"], record["skipped"], record["faded"]) == ("To the content", "main", "0")


def test_forms_work_without_javascript(visit):
    record = visit["withoutScript"]
    assert record["again"] == "1 job starts over."
    assert record["found"].startswith("1 study found")
    assert record["older"] == "Newer page 2 of 2"
    assert record["report"]
    assert not record["faders"]
    assert re.search(r"confidence \d{1,3}\.\d\d %", record["result"])
