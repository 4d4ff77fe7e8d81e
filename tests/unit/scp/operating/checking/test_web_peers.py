"""What `check` says of a peer that is called by DICOMweb, and of a port that accepts and says nothing."""

import pytest

from scp.configuration.sections import Delivery, Peer
from scp.configuration.settings import Settings
from scp.operating.checking import peers
from scp.operating.checking.outcomes import Outcome
from tests.support.listening import Listening
from tests.support.web_server import scripted_server

JSON = {"Content-Type": "application/dicom+json"}
OK, NOTE, FAILED = Outcome


@pytest.fixture(scope="module")
def service():
    with scripted_server() as script:
        yield script


def look(peer, *senders, **more):
    """Return outcome and words of every check of ``peer``."""
    delivery = Delivery(connect_timeout_seconds=1, answer_timeout_seconds=5)
    settings = Settings(peers=(peer, *senders), delivery=delivery, **more)
    return [(check.outcome, check.words) for check in peers.probe(peer, settings)]


@pytest.mark.parametrize(
    ("query", "store", "expected"),
    [
        (200, 200, [(OK, "answers at"), (OK, "takes objects")]),
        (200, 204, [(OK, "answers at"), (OK, "takes objects")]),
        (200, 400, [(OK, "answers at"), (OK, "takes objects")]),
        (200, 403, [(OK, "answers at"), (FAILED, "HTTP 403, it does not let this node store")]),
        (200, 405, [(OK, "answers at"), (FAILED, "HTTP 405, it takes no objects at this url")]),
        (200, 415, [(OK, "answers at"), (FAILED, "HTTP 415: it takes no application/dicom")]),
        (200, 500, [(OK, "answers at"), (NOTE, "HTTP 500 to a request without an object")]),
        (405, 400, [(NOTE, "but `fetch` cannot query it: PACS at http"), (OK, "takes objects")]),
        (404, 404, [(FAILED, "HTTP 404: is the url the root"), (FAILED, "HTTP 404, it takes no objects")]),
        (401, 200, [(FAILED, "HTTP 401, it does not let this node in")]),
    ],
)  # fmt: skip
def test_queries_and_objects_are_tried_and_nothing_is_stored(service, query, store, expected):
    service.requests.clear()
    service.answer = lambda body: (store, {}, b"") if body else (query, JSON, b"[]")
    checks = look(Peer(ae_title="PACS", url=service.url))
    assert [outcome for outcome, _ in checks] == [outcome for outcome, _ in expected]
    for (_, words), (_, expected_words) in zip(checks, expected, strict=True):
        assert expected_words in words
    assert all(
        body.count(b"--") in {0, 2} for _, _, body in service.requests
    )  # an end, and no part before it


def test_peer_that_is_sent_nothing_is_asked_for_studies_alone(service):
    service.requests.clear()
    service.answer = lambda _: (200, JSON, b"[]")
    assert [outcome for outcome, _ in look(Peer(ae_title="PACS", url=service.url, results_to=()))] == [OK]
    assert [path.partition("?")[0] for path, _, _ in service.requests] == ["/dicom-web/studies"]


@pytest.fixture
def silent():
    """A port that accepts connections and answers nothing."""
    held = []
    listening = Listening(held.append)
    yield listening.port
    listening.close()
    for connection in held:
        connection.close()


def test_tls_that_nobody_answers_is_told_from_a_service_that_is_slow(silent, service):
    [(outcome, words)] = look(Peer(ae_title="PACS", url=f"https://127.0.0.1:{silent}/dicom-web"))
    assert outcome is FAILED
    assert "no TLS: it did not finish the TLS handshake in time: is this its port with TLS?" in words
    plain = service.url.replace("http:", "https:")
    [(_, words)] = look(Peer(ae_title="PACS", url=plain))
    assert "no TLS: it does not speak TLS there: is this its port with TLS?" in words


def test_tls_that_nobody_answers_is_named_for_dicom_as_well(silent, authority, monkeypatch):
    monkeypatch.setattr(peers, "ECHO_SECONDS", 0.5)
    peer = Peer(ae_title="PACS", host="127.0.0.1", port=silent, tls=True)
    (outcome, words), _ = look(peer, tls=authority.tls("node", kind="EC"))
    assert outcome is FAILED
    assert "it did not finish the TLS handshake in time" in words
