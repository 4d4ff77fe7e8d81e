"""What the answers of a DICOMweb service mean: an object's own status, or that nobody has answered for it."""

import base64
import json

import pytest
from pydicom.dataset import Dataset

from scp.configuration.sections import Delivery, Peer
from scp.configuration.settings import Settings
from scp.network.association import Unreachable
from scp.network.web import WebPeerClient
from tests.support.mammograms import mammogram
from tests.support.web_server import scripted_server

IMAGE = mammogram(rows=32, columns=32)
JSON = {"Content-Type": "application/dicom+json"}


@pytest.fixture(scope="module")
def service():
    with scripted_server() as script:
        yield script


@pytest.fixture
def client(service):
    servers = []

    def connect(**more):
        peer = Peer(ae_title="PACS", url=service.url, **more)
        settings = Settings(
            peers=(peer,), delivery=Delivery(connect_timeout_seconds=2, answer_timeout_seconds=5)
        )
        servers.append(WebPeerClient(settings, peer))
        return servers[-1]

    yield connect
    for instance in servers:
        instance.release()


def answer(*, stored=None, warning=None, failure=None, uid=IMAGE.SOPInstanceUID):
    """The body of an answer to STOW-RS about one object."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = IMAGE.SOPClassUID, uid
    if warning is not None:
        item.WarningReason = warning
    if failure is not None:
        item.FailureReason = failure
    whole = Dataset()
    if stored or warning is not None:
        whole.ReferencedSOPSequence = [item]
    if failure is not None:
        whole.FailedSOPSequence = [item]
    return json.dumps(whole.to_json_dict()).encode()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, answer(stored=True), 0x0000),
        (200, answer(warning=0xB000), 0xB000),
        (202, answer(failure=0xA700), 0xA700),
        (409, answer(failure=0x0122), 0x0122),
        (409, answer(failure=0xC000), 0xC000),
        (400, b"<html>no</html>", 0xC000),
        (413, b"", 0xC000),
        (415, b"", 0xC000),
    ],
)
def test_object_has_its_own_status(service, client, status, body, expected):
    service.answer = (status, JSON, body)
    assert client().send_c_store(IMAGE).Status == expected


@pytest.mark.parametrize(
    "media_type",
    [
        "application/dicom+json; charset=utf-8",
        "Application/JSON;charset=UTF-8",
        "application/dicom+json ; q=1",
    ],
)
def test_answer_is_understood_whatever_parameters_its_type_has(service, client, media_type):
    service.answer = (200, {"Content-Type": media_type}, answer(stored=True))
    assert client().send_c_store(IMAGE).Status == 0x0000


@pytest.mark.parametrize(
    ("status", "headers", "body", "words"),
    [
        (401, {}, b"", "HTTP 401, it does not let this node in"),
        (403, {}, b"", "correct url_credentials"),
        (404, {}, b"", "is the url the root"),
        (429, {}, b"", "HTTP 429, it cannot do it now"),
        (503, {}, b"", "HTTP 503, it cannot do it now"),
        (302, {"Location": "http://127.0.0.1:1/login"}, b"", "it sends elsewhere"),
        (200, {"Content-Type": "application/json"}, b"<html>log in</html>", "no DICOMweb service"),
        (200, JSON, b"{}", "not whether it has kept the object"),
        (200, JSON, answer(stored=True, uid="1.2.3"), "not whether it has kept the object"),
    ],
)
def test_where_nobody_answers_for_the_object_it_is_tried_again(service, client, status, headers, body, words):
    service.answer = (status, headers, body)
    with pytest.raises(Unreachable, match=words):
        client().send_c_store(IMAGE)


def test_credentials_come_from_a_file_or_the_environment(service, client, tmp_path, monkeypatch):
    service.answer = (200, JSON, answer(stored=True))
    secret = tmp_path / "secret"
    secret.write_text("  Bearer abc.def\n")
    secret.chmod(0o600)
    client(url_credentials=str(secret)).send_c_store(IMAGE)
    monkeypatch.setenv("PACS_LOGIN", "zo\u00eb:p ss:w\u00f6rd")
    client(url_credentials="env:PACS_LOGIN").send_c_store(IMAGE)
    sent = [headers["Authorization"] for _, headers, _ in service.requests[-2:]]
    assert sent[0] == "Bearer abc.def"
    assert base64.b64decode(sent[1].removeprefix("Basic ")).decode() == "zo\u00eb:p ss:w\u00f6rd"


def test_secret_that_others_may_read_is_not_used(client, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("a:b")
    secret.chmod(0o644)
    with pytest.raises(Unreachable, match="others may read"):
        client(url_credentials=str(secret))


def test_what_is_sent_is_the_object(service, client):
    service.answer = (200, JSON, answer(stored=True))
    client().send_c_store(IMAGE)
    path, headers, body = service.requests[-1]
    assert path == "/dicom-web/studies"
    assert headers["Content-Type"].startswith("multipart/related")
    assert IMAGE.PixelData in body


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"url": "pacs.example.org"}, "root of a DICOMweb service"),
        ({"url": "https://a:b@pacs.example.org"}, "no password may stand in a URL"),
        ({"url": "http://pacs.example.org", "url_credentials": "env:X"}, "sent in clear"),
        ({"url_credentials": "env:X"}, "belong to a url"),
        ({"url": "https://pacs.example.org", "host": "pacs", "port": 104}, "neither host and port"),
        ({"url": "https://pacs.example.org", "commitment": True}, "nor commitment"),
    ],
)
def test_entry_that_contradicts_itself_is_refused(entry, words):
    with pytest.raises(ValueError, match=words):
        Settings(peers=(Peer(ae_title="PACS", **entry),))
