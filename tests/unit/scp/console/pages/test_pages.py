"""The console as a browser without scripts sees it: one real process on the data of a real node."""

import io
import re
import socket
import struct
import threading
import time
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from inference.findings import Laterality
from storage import calls, refusals
from storage.calls import Calls
from storage.database import schema
from storage.database.engine import Database
from storage.records import JobKind
from storage.refused import Refused
from storage.states import JobState
from tests.support import ungated
from tests.support.in_process import InProcessNode, ScriptedAnalyst
from tests.support.mammograms import mammogram, uid
from tests.support.web import Console

STUDY = uid("study", "1")
AGAIN = uid("study", "3")
"""The study that a test has analysed again: the tests may run in any order."""
HEALTHY = uid("study", "4")
"""The study in which nothing is seen: its images show no region."""
VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
PATIENT_NAME = "Doe^Jane"
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("console")


class AnalystOfSizes(ScriptedAnalyst):
    """Sees nothing in small images, and much in those of the left breast that are not."""

    def analyse(self, path, image):
        analysis = super().analyse(path, image)
        if image.rows > 320 and image.laterality is not Laterality.LEFT:
            return analysis
        scores = (0.01, 0.02, 0.03, 0.94) if image.rows > 320 else (0.7, 0.1, 0.1, 0.1)
        return replace(analysis, finding=replace(analysis.finding, scores=scores))


@pytest.fixture(scope="module")
def console(folder):
    node = InProcessNode(folder, analyst=AnalystOfSizes())
    for study, rows in (("1", 640), ("3", 640), ("4", 320)):
        for number, (side, view) in enumerate(VIEWS, start=1):
            node.receive(mammogram(side, view, study=study, number=number, rows=rows, columns=rows * 4 // 5))
    node.work()
    node.deliver()
    node.receive(mammogram("L", "CC", study="2", number=1))
    with node.database.write() as tx:
        at = datetime.now(UTC)
        stranger = {"calling_ae": "STRANGER", "address": "192.0.2.9", "rejected": 3, "rejected_at": at}
        refused = {("PACS", "1.2.840.10008.5.1.4.1.1.11.1", Refused.DROPPED): 2}
        refused |= {(refusals.NO_PEER, refusals.NO_CLASS, Refused.CALLING_TITLE): 3}
        refusals.add(tx, refused, now=at)
        calls.add(tx, [Calls(**stranger, admitted=0, admitted_at=None, reason="it is <b>not</b> configured")])
        own = {"calling_ae": "SECONDREAD", "address": "127.0.0.1", "admitted": 1, "admitted_at": at}
        calls.add(tx, [Calls(**own, rejected=0, rejected_at=None, reason=None)])
    node.close()
    config = folder / "config.toml"
    config.write_text(
        f"""
[node]
data_dir = "data"
[model]
name = "{ungated.copy("document-cnn-1.2.0", folder / "model")}"
[console]
upload_mb = 8
[[peers]]
ae_title = "PACS"
host = "127.0.0.1"
port = 104
"""
    )
    running = Console(config)
    yield running
    assert running.stop() == 0
    assert "Traceback" not in "".join(running.lines.printed)
    assert "Doe" not in "".join(running.lines.printed)


@pytest.fixture
def browser(console):
    return console.browser()


def png(values):
    file = io.BytesIO()
    Image.fromarray(values).save(file, format="PNG")
    return file.getvalue()


def breast():
    values = mammogram("L", "CC", lesion=True).pixel_array
    return png((values / values.max() * 255).astype(np.uint8))


@contextmanager
def image_coming_in(folder):
    """Let a peer's image grow meanwhile."""
    ended = threading.Event()

    def receive():
        with (folder / "data" / "incoming" / "image.dcm").open("wb", buffering=0) as file:
            while not ended.wait(0.05):
                file.write(b"more")

    thread = threading.Thread(target=receive)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        (folder / "data" / "incoming" / "image.dcm").unlink()


def bomb():
    """A PNG whose header claims 60,000 by 60,000 pixels."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    data = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_the_overview_says_what_needs_a_person(browser):
    page = browser.get("/")
    assert page.status == 200
    assert "1 thing needs a person" in page.words
    assert "The node is stopped; these pages show what it kept." in page.words
    assert "SECONDREAD, port" not in page.words, "it listens nowhere"
    assert "PACS" in page.words
    assert "STRANGER" in page.words
    assert "it is &lt;b&gt;not&lt;/b&gt; configured" in page.text
    assert "<strong>SECONDREAD</strong>" not in page.text, "`check` calls so, which is no peer"
    assert "<strong>PACS</strong>" in page.text
    assert page.text.count('data-label="Images received"') == 24  # hour by hour, for who has no mouse
    assert "<!doctype" not in browser.get("/?fragment=1").text


def test_every_answer_has_the_headers_of_a_careful_site(browser):
    for path in ("/", "/studies", "/nowhere", "/static/console.css"):
        headers = browser.get(path).headers
        assert "script-src 'self'" in headers["Content-Security-Policy"], path
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "server" not in {name.lower() for name in headers}


def test_pages_ask_nobody_else_for_anything(browser):
    for path in ("/", "/studies", f"/studies/{STUDY}", "/analyse", "/model", "/api"):
        page = browser.get(path)
        assert page.status == 200, path
        links = re.findall(r'(?:src|href|action)="([^"]*)"', page.text)
        foreign = [link for link in links if "//" in link and not link.startswith("https://")]
        assert not foreign, path
        assert not re.search(r'<(?:script|link|img)[^>]*(?:src|href)="(?!/)', page.text), path
        assert " style=" not in page.text, path


def test_studies_are_found_under_pseudonyms(browser):
    page = browser.get("/studies")
    assert "4 studies" in page.words
    assert PATIENT_NAME.partition("^")[0] not in page.text
    pseudonym = re.search(r"P-[A-Z2-7]{6}", page.words)[0]
    assert browser.get(f"/studies?q={pseudonym.lower()}").text.count('data-label="Patient"') >= 1
    assert "1 study found" in browser.get(f"/studies?q={STUDY[-12:]}").words
    assert "No study fits" in browser.get("/studies?q=ZZZ").words
    assert "delivered flagged left" in page.words
    assert "not flagged" in page.words
    assert "no result" in page.words
    working = browser.get("/studies?choice=working").text
    assert uid("study", "2") in working
    assert STUDY not in working
    assert browser.get("/studies?page=9999999&choice=nonsense").status == 200


def looked_for(browser, words):
    """Return the answer to the form of the list, and that of the address to which it leads."""
    answer = browser.post("/studies", {"csrf": browser.csrf("/studies"), "q": words, "choice": "all"})
    return answer, browser.get(answer.headers["Location"]) if answer.status == 303 else answer


def test_studies_are_found_by_patient_id_which_gets_into_no_address(browser):
    patient = re.search(r"SYN\d", browser.get("/studies?identity=1").words)[0]
    answer, page = looked_for(browser, patient)
    assert re.fullmatch(r"/studies\?q=P-[A-Z2-7]{6}&choice=all", answer.headers["Location"])
    assert re.search(r"\d stud(y|ies) found", page.words)
    assert patient not in page.text
    assert "No study fits" in browser.get(f"/studies?q={patient}").words
    answer, page = looked_for(browser, "SYN9999")
    assert (answer.status, "No study fits" in page.words) == (200, True)


def test_nothing_that_was_typed_gets_into_an_address(browser):
    """A Patient ID that is not known here may be a part of a UID."""
    part = STUDY[-12:]
    answer, page = looked_for(browser, part)
    assert (answer.status, "1 study found" in page.words) == (200, True)
    links = re.findall(r'(?:src|href|action)="([^"]*)"', page.text)
    assert not [link for link in links if f"={part}" in link]
    steps = page.text.partition('id="steps"')[2].partition("</form>")[0]
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', steps))
    assert (fields["q"], fields["choice"], set(fields)) == (part, "all", {"csrf", "q", "choice"})
    assert "Doe, Jane" not in page.words
    page = browser.post("/studies", fields | {"identity": "1"})
    assert "Doe, Jane · SYN" in page.words
    assert "No study fits" in browser.post("/studies", fields | {"page": "2"}).words


def test_a_study_shows_images_report_and_deliveries(browser):
    page = browser.get(f"/studies/{STUDY}")
    assert page.words.count("60.00 %") >= 2
    assert page.words.count("94.00 %") >= 2
    assert page.words.count("This image alone scores highest for Malignant.") == 2
    assert page.words.count("turned out to be harmless. This does not exclude cancer.") == 1
    assert "Imaging Measurement Report" in page.words
    assert "waits for" not in page.words
    assert page.words.count("0x0000") >= 5
    assert PATIENT_NAME.partition("^")[0] not in page.text
    for kind in ("picture", "heatmap"):
        address = re.search(rf'src="(/studies/[^"]*{kind}\.jpg[^"]*)"', page.text)[1]
        picture = browser.get(address)
        assert picture.status == 200
        assert Image.open(io.BytesIO(picture.body)).format == "JPEG"


def test_an_image_without_a_region_has_a_picture_and_no_heatmap(browser):
    page = browser.get(f"/studies/{HEALTHY}")
    assert page.words.count("No region is shown for Normal.") == 4
    assert not re.search(r'src="[^"]*heatmap\.jpg', page.text)
    picture = re.search(r'src="(/studies/[^"]*)picture\.jpg', page.text)[1]
    assert browser.get(f"{picture}picture.jpg").status == 200
    refused = browser.get(f"{picture}heatmap.jpg")
    assert (refused.status, "No region is shown in this image" in refused.words) == (404, True)


def test_who_it_is_is_shown_where_it_is_asked_for(browser):
    assert "Doe, Jane" in browser.get(f"/studies/{STUDY}?identity=1").words
    assert len(re.findall(r"Doe, Jane · SYN\d", browser.get("/studies?identity=1").words)) == 4


def test_results_are_downloaded_as_dicom(browser):
    answer = browser.get(f"/studies/{STUDY}/results.zip")
    names = zipfile.ZipFile(io.BytesIO(answer.body)).namelist()
    assert len(names) >= 5
    address = re.search(r'href="(/studies/[^"]*/results/[0-9.]+)"', browser.get(f"/studies/{STUDY}").text)[1]
    assert browser.get(address).body[128:132] == b"DICM"


def test_a_study_that_is_not_there_is_a_sentence(browser):
    page = browser.get("/studies/1.2.3")
    assert page.status == 404
    assert "This node has no such study" in page.words
    assert browser.get("/studies/..%2f..%2fetc%2fpasswd").status == 404
    assert browser.get("/model/..%2fmanifest.toml").status == 404


def test_buttons_need_the_proof_of_our_own_pages(browser, folder):
    address = f"/studies/{AGAIN}/analyse"
    assert browser.post(address).status == 403
    assert browser.post(address, {"csrf": "0" * 64}).status == 403
    proof = {"csrf": browser.csrf(f"/studies/{AGAIN}")}
    assert browser.post(address, proof, Origin="http://evil.example").status == 403
    assert browser.post(address, proof, Sec_Fetch_Site="cross-site").status == 403
    assert browser.get("/", Host="evil.example").status == 421
    answer = browser.post(address, proof, Sec_Fetch_Site="same-origin")
    assert (answer.status, answer.headers["Location"]) == (303, f"/studies/{AGAIN}?again=4")
    opened = Database.open_for_reading(folder / "data")
    with opened.read() as tx:
        waiting = tx.execute(
            select(schema.jobs).where(
                schema.jobs.c.study_uid == AGAIN, schema.jobs.c.state == JobState.WAITING
            )
        ).all()
    opened.close()
    assert [job.kind for job in waiting] == [JobKind.ANALYSE] * 4
    assert "waits for the analysis of 4 images" in browser.get("/studies").words


def test_an_uploaded_picture_is_analysed_shown_and_forgotten(browser, console, folder):
    proof = {"csrf": browser.csrf("/analyse")}
    deadline = time.monotonic() + 200
    # a reader that is there already may have read the first picture before two looks at what comes in
    more = [(f"more-{number}.png", breast()) for number in range(4)]
    with image_coming_in(folder):
        answer = browser.post("/analyse", proof, [("left.png", breast()), ("bomb.png", bomb()), *more])
        assert answer.status == 303
        address = answer.headers["Location"]
        while "waits while images are received" not in browser.get(f"{address}?fragment=1").text:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    while browser.get(f"{address}?fragment=1").headers["X-Ended"] != "1":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    page = browser.get(address)
    verdict = r"Breast: (\w| )+, (not )?flagged this image alone: (\w| )+, confidence \d+\.\d\d %"
    assert re.search(verdict, page.words)
    assert re.search(r"malignant score \d+\.\d\d %, flagged from \d+\.\d\d %", page.words)
    assert "No result: the file could not be analysed" in page.words
    assert "too large" in page.words
    for kind in ("preview", "picture", "heatmap"):
        assert browser.get(f"{address}/0/{kind}.jpg").status == 200
    download = browser.get(f"{address}/0/heatmap.png")
    assert download.headers["Content-Disposition"] == 'attachment; filename="heatmap-1.png"'
    assert Image.open(io.BytesIO(download.body)).format == "PNG"
    assert browser.get(f"{address}/1/heatmap.png").status == 404
    assert console.browser().get(address).status == 404
    assert list((folder / "data" / "uploads").iterdir())
    assert browser.post(f"{address}/forget", proof).status == 303
    assert browser.get(address).status == 404
    assert not list((folder / "data" / "uploads").iterdir())


def test_predict_answers_as_analyze_does(browser, tmp_path, folder):
    path = tmp_path / "image.dcm"
    mammogram("L", "CC", lesion=True).save_as(path, enforce_file_format=True)
    answer = browser.post("/predict", files=[("image.dcm", path.read_bytes()), ("words.txt", b"no image")])
    assert answer.status == 200
    first, second = answer.json()["files"]
    assert (first["file"], first["status"], first["laterality"], first["view"]) == (
        "image.dcm",
        "analysed",
        "L",
        "CC",
    )
    assert second["status"] == "failed"
    promised = browser.get("/openapi.json").json()["components"]["schemas"]
    assert first.keys() == promised["File"]["properties"].keys()
    (read,) = answer.json()["breasts"]
    assert read.keys() == promised["Breast"]["properties"].keys()
    assert not list((folder / "data" / "uploads").iterdir())


def test_predict_says_what_is_wrong_with_a_request(browser):
    assert browser.request("POST", "/predict", b"").status == 415
    assert browser.post("/predict").json()["problem"].startswith("no file in the field image")
    assert (
        browser.post("/predict", {"image": "left.png"}).json()["problem"].startswith("no file in the field")
    )
    unchosen = browser.post("/predict", files=[("", b"")])
    assert unchosen.json()["problem"].startswith("no file was chosen")
    assert "Authorization" not in browser.get("/api").words
    large = browser.post("/predict", files=[("large.png", bytes(9_000_000))])
    assert (large.status, large.json()) == (
        413,
        {"problem": "an upload has at most 8 MB ([console] upload_mb)"},
    )
    promised = browser.get("/openapi.json").json()["paths"]["/predict"]["post"]["responses"]
    assert all("content" in response for response in promised.values())
    assert browser.get("/predict").status == 405


def test_names_that_are_no_addresses_are_refused(browser):
    assert browser.get("/", Host="[::1").status == 421
    assert browser.request("POST", "/theme", b"", headers={"Origin": "http://[bad"}).status == 403


def test_form_without_files_is_short(browser):
    assert browser.request("POST", "/sign-in", bytes(70_000)).status == 413


@pytest.mark.parametrize("path", ["/sign-in", "/theme", "/analyse", "/predict", "/studies", "/users"])
@pytest.mark.parametrize("charset", ["undefined", "punycode", "zip", "hex", "unicode_escape", "idna", "none"])
def test_a_form_in_a_charset_that_is_none_is_refused(browser, path, charset):
    kind = f'multipart/form-data; boundary=x; charset="{charset}"'
    body = b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\n\xff.\\ud800\r\n--x--\r\n'
    answer = browser.request("POST", path, body, headers={"Content-Type": kind})
    assert (answer.status, "utf-8" in answer.text) == (415, True)


@pytest.mark.parametrize("charset", ["UTF-8", "us-ascii", "ISO-8859-1"])
def test_a_form_in_a_usual_charset_is_read(browser, charset):
    kind = f"multipart/form-data; boundary=x; charset={charset}"
    body = b'--x\r\nContent-Disposition: form-data; name="theme"\r\n\r\ndark\r\n--x--\r\n'
    assert browser.request("POST", "/theme", body, headers={"Content-Type": kind}).status == 303


def test_a_number_of_thousands_of_digits_is_no_file(browser):
    assert browser.get(f"/analyse/none/{'9' * 5000}/picture.jpg").status == 404


def test_who_leaves_in_the_middle_of_an_upload_is_no_fault_of_the_console(console):
    head = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n"
    head += b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
    with socket.create_connection(("127.0.0.1", console.port), timeout=10) as line:
        line.sendall(head)
    console.lines.wait_for("a caller left before its request was whole", seconds=30)


def test_programs_that_watch_are_told(browser):
    assert browser.get("/healthz").json() == {"status": "alive"}
    ready = browser.get("/readyz")
    assert (ready.status, ready.json()["obstacles"]) == (503, ["the node is not running"])
    metrics = browser.get("/metrics")
    assert metrics.headers["Content-Type"].startswith("text/plain")
    lines = metrics.text.splitlines()
    assert "secondread_up 0.0" in lines
    assert any(line.startswith('secondread_deliveries{destination="PACS",state="sent"}') for line in lines)
    assert 'secondread_not_kept_objects_total{peer="PACS",reason="dropped"} 2.0' in lines
    refused = 'secondread_refused_calls_total{of="%s",peer="",reason="%s"} %d.0'
    assert refused % ("association", "calling_title", 3) in lines
    assert refused % ("connection", "tls", 0) in lines
    assert any(line.startswith("secondread_scanner_malignant_score{") for line in lines)


def test_a_theme_is_remembered(browser):
    assert browser.post("/theme", {"theme": "dark", "back": "//evil.example"}).headers["Location"] == "/"
    assert 'data-theme="dark"' in browser.get("/").text
