"""What a hostile or broken service of DICOMweb can answer: nothing of it takes memory, time or the node."""

import contextlib
import gzip
import json

import pytest

from scp.configuration.sections import Delivery, Peer
from scp.configuration.settings import Settings
from scp.network import web_answers
from scp.network.association import Unreachable
from scp.network.web import NotGivenError, WebPeerClient
from tests.support.http_answers import OK, Service, dripping, whole, without_end
from tests.support.mammograms import mammogram

IMAGE = mammogram(rows=32, columns=32)
MULTIPART = b'HTTP/1.1 200 OK\r\nContent-Type: multipart/related; type="application/dicom"; boundary=b\r\n'


@pytest.fixture
def service():
    running = Service()
    yield running
    running.close()


@pytest.fixture
def client(service, request):
    peer = Peer(ae_title="PACS", url=service.url)
    seconds = getattr(request, "param", 60)
    delivery = Delivery(connect_timeout_seconds=2, answer_timeout_seconds=seconds)
    connected = WebPeerClient(Settings(peers=(peer,), delivery=delivery), peer)
    yield connected
    connected.release()


def studies(client):
    return client.call(lambda web: web.search_for_studies())


ASK = (studies, lambda client: client.send_c_store(IMAGE))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (without_end, "its answer does not end"),
        (lambda: without_end(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"), "does not end"),
        (lambda: without_end(b"HTTP/1.1 409 Conflict\r\n"), "does not end"),
        (lambda: whole(gzip.compress(bytes(9_000_000)), OK + b"Content-Encoding: gzip\r\n"), "does not end"),
        (lambda: whole(b"[" * 100_000), "its answer cannot be understood"),
        (lambda: whole(b"\xff\xfe{"), "no DICOMweb service"),
        (lambda: [b""], "it hung up"),
    ],
)
def test_answer_that_is_none_ends_with_a_sentence(service, client, monkeypatch, answer, words):
    monkeypatch.setattr(web_answers, "LONGEST_WORDS", 100_000)
    service.answer = answer
    for ask in ASK:
        with pytest.raises(Unreachable, match=words):
            ask(client)


@pytest.mark.parametrize("client", [1], indirect=True)
@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nX: ",
        OK + b"Content-Length: 60000\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1;",
    ],
)
def test_answer_that_drips_ends_in_time(service, client, head):
    service.answer = lambda: dripping(head)
    for ask in ASK:
        with pytest.raises(Unreachable, match="not all of it"):
            ask(client)


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        {"00081199": {"vr": "LO", "Value": ["x"]}},
        {"00081199": {"vr": "SQ", "Value": [7]}},
        {"00081198": {"vr": "SQ", "Value": [{"00081155": {"vr": "SQ", "Value": [{}]}}]}},
        {"zz": {"vr": "SQ"}},
        "kept",
    ],
)
def test_answer_of_another_form_keeps_the_object_owed(service, client, content):
    service.answer = lambda: whole(json.dumps(content).encode())
    with pytest.raises(Unreachable):
        client.send_c_store(IMAGE)


@pytest.mark.filterwarnings("ignore")  # pydicom's, about what came
@pytest.mark.parametrize("reason", ["x", [1, 2], -5, 10**30, None])
def test_failure_reason_of_another_form_is_no_success(service, client, reason):
    item = {
        "00081155": {"vr": "UI", "Value": [IMAGE.SOPInstanceUID]},
        "00081197": {"vr": "US", "Value": reason if isinstance(reason, list) else [reason]},
    }
    service.answer = lambda: whole(json.dumps({"00081198": {"vr": "SQ", "Value": [item]}}).encode())
    with contextlib.suppress(Unreachable):  # which keeps the object owed
        assert 0 < client.send_c_store(IMAGE).Status <= 0xFFFF


@pytest.mark.parametrize(
    "content",
    [
        b"\r\n--b\r\n\r\nx" * 1000 + b"\r\n--b--",
        b"--b\r\n\r\nno DICOM\r\n--b--",
        b"--b\r\nno end of the headers",
        b"",
    ],
)
def test_image_that_is_none_is_a_matter_of_that_image(service, client, content):
    service.answer = lambda: whole(content, MULTIPART)
    with pytest.raises(NotGivenError):
        client.retrieve("1.2", "1.3", "1.4")
