"""DICOMweb with Orthanc's plugin, behind TLS and a password: results by STOW-RS."""

import base64
import json
import urllib.request
from pathlib import Path

import pytest

from scp.configuration.sections import Peer
from scp.configuration.settings import Settings
from scp.delivering.sender import Sender
from scp.network import web
from storage.archive import Archive
from storage.database.engine import Database
from storage.overview import attention
from storage.queue import deliveries
from storage.states import DeliveryState
from tests.support.authority import Authority
from tests.support.orthanc import Orthanc
from tests.support.owed import NOW, owe
from tests.support.peers import free_port, missing
from tests.support.tls_front import tls_front

PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
LOGIN = "alice:pass word"


class SecuredOrthanc(Orthanc):
    """Wants a password, with which its REST interface is asked as well."""

    def __init__(self, folder):
        if not Path(PLUGIN).exists():
            missing("Orthanc's DICOMweb plugin is not installed")
        user, password = LOGIN.split(":")
        super().__init__(
            folder,
            node_port=free_port(),
            plugins=[PLUGIN],
            AuthenticationEnabled=True,
            RegisteredUsers={user: password},
            DicomWeb={"Enable": True, "Root": "/dicom-web/"},
        )

    def get(self, path):
        request = urllib.request.Request(f"http://127.0.0.1:{self.rest_port}{path}")
        request.add_header("Authorization", "Basic " + base64.b64encode(LOGIN.encode()).decode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    with SecuredOrthanc(tmp_path_factory.mktemp("orthanc")) as started:
        yield started


@pytest.fixture(scope="module")
def url(orthanc, authority):
    with tls_front(orthanc.rest_port, authority.sign("orthanc")) as port:
        yield f"https://127.0.0.1:{port}/dicom-web"


@pytest.fixture
def access(tmp_path, url, authority):
    """The entry of the peer, with its secret in a file."""
    secret = tmp_path / "orthanc.secret"
    secret.write_text(f"{LOGIN}\n")
    secret.chmod(0o600)
    return Peer(ae_title="PACS", url=url, url_credentials=str(secret), url_authorities=authority.pem)


@pytest.fixture
def database(tmp_path):
    opened = Database.open(tmp_path / "data")
    yield opened
    opened.close()


def send(database, tmp_path, peer):
    """Send what PACS is owed to ``peer``; return how many objects it kept, and why not the rest."""
    sender = Sender(
        settings=Settings(peers=(peer,)),
        database=database,
        archive=Archive(tmp_path / "data"),
        now=lambda: NOW,
        jitter=lambda: 0.0,
    )
    kept = sender.deliver("PACS")
    with database.read() as tx:
        return kept, [(problem.state, problem.reason) for problem in attention.delivery_problems(tx)]


def test_report_and_heatmap_are_stored_and_settled_one_by_one(database, tmp_path, orthanc, access):
    uids = owe(database, Archive(tmp_path / "data"))
    assert send(database, tmp_path, access) == (2, [])
    kept = {item["MainDicomTags"]["SOPInstanceUID"] for item in orthanc.get("/instances?expand")}
    assert set(uids) <= kept
    with database.read() as tx:
        assert deliveries.counts(tx)["PACS"][DeliveryState.SENT] == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"url_credentials": "env:WRONG_LOGIN"}, "HTTP 401, it does not let this node in"),
        ({"url_credentials": "env:NO_LOGIN"}, "NO_LOGIN is empty"),
        ({"url_authorities": None}, "no TLS: "),
        ({"url": f"https://127.0.0.1:{free_port()}/dicom-web"}, "nothing answers there"),
    ],
)
def test_what_is_wrong_with_the_service_is_told_and_nothing_is_parked(
    database, tmp_path, access, monkeypatch, change, words
):
    monkeypatch.setenv("WRONG_LOGIN", "alice:guess")
    owe(database, Archive(tmp_path / "data"))
    kept, problems = send(database, tmp_path, access.model_copy(update=change))
    assert kept == 0
    (problem,) = problems
    assert problem[0] is DeliveryState.OWED
    assert words in problem[1]


def test_wrong_root_of_the_service_is_told(database, tmp_path, access):
    owe(database, Archive(tmp_path / "data"))
    _, problems = send(database, tmp_path, access.model_copy(update={"url": f"{access.url}/elsewhere"}))
    assert "is the url the root of its DICOMweb service?" in problems[0][1]


def test_check_asks_the_service(access):
    assert web.probe(Settings(peers=(access,)), access) is None
    wrong = access.model_copy(update={"url_authorities": None})
    assert "local issuer" in web.probe(Settings(peers=(wrong,)), wrong)
