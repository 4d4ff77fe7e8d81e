"""DICOMweb with Orthanc's plugin, behind TLS and a password: STOW-RS, QIDO-RS, WADO-RS, and `check`."""

import base64
import io
import json
import re
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from scp.configuration.sections import Peer
from scp.configuration.settings import Settings
from scp.delivering.sender import Sender
from scp.fetching import dicomweb
from scp.fetching.dicomweb import WebSource
from scp.fetching.query import Query
from scp.fetching.source import Image, Keeper, SourceClosedError
from scp.operating.checking import peers as checked_peers
from scp.operating.checking.outcomes import Outcome
from storage.database.engine import Database
from storage.files.folder import FolderArchive
from storage.overview import attention
from storage.queue import deliveries
from storage.states import DeliveryState
from tests.support.kinds import ResultKind
from tests.support.mammograms import standard_views, write
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
        return self._ask(path)

    def upload(self, path):
        return self._ask("/instances", path.read_bytes())

    def file(self, instance):
        return self._answer(f"/instances/{instance}/file")

    def _ask(self, path, body=None):
        return json.loads(self._answer(path, body))

    def _answer(self, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.rest_port}{path}", data=body)
        request.add_header("Authorization", "Basic " + base64.b64encode(LOGIN.encode()).decode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    with SecuredOrthanc(tmp_path_factory.mktemp("orthanc")) as started:
        yield started


@pytest.fixture(scope="module")
def url(orthanc, authority):
    with tls_front(orthanc.rest_port, authority.sign("orthanc")) as port:
        yield f"https://127.0.0.1:{port}/dicom-web"


@pytest.fixture
def incoming(tmp_path):
    """Where images are written before they are kept."""
    folder = tmp_path / "incoming"
    folder.mkdir()
    return folder


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
        archive=FolderArchive(tmp_path / "data"),
        now=lambda: NOW,
        jitter=lambda: 0.0,
    )
    stored = sender.deliver("PACS")
    with database.read() as tx:
        return stored, [(problem.state, problem.reason) for problem in attention.delivery_problems(tx)]


def stored(orthanc):
    """The instances of ``orthanc``, by SOP Instance UID."""
    return {item["MainDicomTags"]["SOPInstanceUID"]: item["ID"] for item in orthanc.get("/instances?expand")}


def test_report_and_heatmap_are_stored_and_settled_one_by_one(database, tmp_path, orthanc, access):
    uids = owe(database, FolderArchive(tmp_path / "data"))
    assert send(database, tmp_path, access) == (2, [])
    assert set(uids) <= set(stored(orthanc))
    with database.read() as tx:
        assert deliveries.counts(tx)["PACS"][DeliveryState.SENT] == 2


@pytest.mark.parametrize(
    ("word", "syntax"), [("jpeg-ls", JPEGLSLossless), ("jpeg-2000", JPEG2000Lossless), ("rle", RLELossless)]
)
def test_picture_is_stored_in_the_compression_that_the_configuration_names(
    database, tmp_path, orthanc, access, word, syntax
):
    (picture,) = owe(database, FolderArchive(tmp_path / "data"), study=word, kinds=[ResultKind.SC], side=64)
    pixels = [dcmread(path).pixel_array for path in (tmp_path / "data/results").rglob("*.dcm")]
    assert send(database, tmp_path, access.model_copy(update={"compression": (word,)})) == (1, [])
    picture_there = dcmread(io.BytesIO(orthanc.file(stored(orthanc)[picture])))
    assert picture_there.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(picture_there.pixel_array, *pixels)


WRONG = [
    ({"url_credentials": "env:WRONG_LOGIN"}, "HTTP 401, it does not let this node in"),
    ({"url_credentials": "env:NO_LOGIN"}, "NO_LOGIN is empty"),
    ({"url_authorities": None}, "no TLS: unable to get local issuer certificate"),
    ({"url": f"https://127.0.0.1:{free_port()}/dicom-web"}, "nothing answers there"),
]
"""What may be wrong with an entry, and the words that say so, whatever the node wants of the service."""


@pytest.fixture(params=WRONG, ids=lambda entry: entry[1].split(",")[0])
def wrong(request, access, monkeypatch):
    """A wrong entry, and what must be said of it."""
    monkeypatch.setenv("WRONG_LOGIN", "alice:guess")
    change, words = request.param
    return access.model_copy(update=change), words


def test_what_is_wrong_with_the_service_is_told_and_nothing_is_parked(database, tmp_path, wrong):
    peer, words = wrong
    owe(database, FolderArchive(tmp_path / "data"))
    stored, problems = send(database, tmp_path, peer)
    assert stored == 0
    (problem,) = problems
    assert problem[0] is DeliveryState.OWED
    assert words in problem[1]


def test_check_says_what_is_wrong_with_the_service(wrong):
    peer, words = wrong
    (answered,) = checked_peers.probe(peer, Settings(peers=(peer,)))
    assert answered.outcome is Outcome.FAILED
    assert answered.words.startswith(f"PACS at {peer.url}: ")
    assert words in answered.words


def test_fetch_says_what_is_wrong_with_the_service(incoming, wrong):
    peer, words = wrong
    with pytest.raises(SourceClosedError, match=re.escape(words)):
        source(peer, incoming, []).studies(Query(origin="", accession="ACC7"))


def test_wrong_root_of_the_service_is_told(database, tmp_path, access):
    owe(database, FolderArchive(tmp_path / "data"))
    wrong_root = access.model_copy(update={"url": f"{access.url}/elsewhere"})
    _, problems = send(database, tmp_path, wrong_root)
    assert "is the url the root of its DICOMweb service?" in problems[0][1]
    query, store = checked_peers.probe(wrong_root, Settings(peers=(wrong_root,)))
    assert "is the url the root of its DICOMweb service?" in query.words
    assert "HTTP 404, it takes no objects at this url" in store.words


def test_check_is_content_with_a_service_that_answers_and_leaves_nothing_there(orthanc, access):
    before = stored(orthanc)
    query, store = checked_peers.probe(access, Settings(peers=(access,)))
    assert (query.outcome, query.words) == (Outcome.OK, f"answers at {access.url}")
    assert (store.outcome, store.words) == (Outcome.OK, "takes objects: it answers a request without any")
    assert stored(orthanc) == before


def source(peer, folder, stored):
    """Return where studies are fetched from; ``stored`` gets the name of each file that came."""
    return WebSource(
        settings=Settings(peers=(peer,)),
        peer=peer,
        keeper=Keeper(receive=lambda path: stored.append(str(dcmread(path).SOPInstanceUID))),
        incoming=folder,
    )


@pytest.fixture(scope="module")
def study(orthanc, tmp_path_factory):
    """Four views in Orthanc, in pairs of one and the same patient; the number of its study is 7."""
    folder = tmp_path_factory.mktemp("study")
    views = standard_views(study="7", rows=64, columns=48)
    for number, view in enumerate(views):
        orthanc.upload(write(view, folder / f"{number}.dcm"))
    return views


def test_study_is_found_and_fetched_page_by_page(study, access, incoming, monkeypatch):
    monkeypatch.setattr(dicomweb, "PAGE", 3)
    stored = []
    fetched = source(access, incoming, stored)
    assert fetched.studies(Query(origin="", accession="ACC7")) == [str(study[0].StudyInstanceUID)]
    images = fetched.images(str(study[0].StudyInstanceUID))
    assert fetched.fetch(str(study[0].StudyInstanceUID), images) == []
    assert sorted(stored) == sorted(str(view.SOPInstanceUID) for view in study)
    assert list(incoming.iterdir()) == []


def test_study_that_the_service_does_not_have_is_not_found(access, incoming):
    fetched = source(access, incoming, [])
    assert fetched.studies(Query(origin="", accession="ACC404")) == []
    assert fetched.images("1.2.3.404") == []


def test_image_that_the_service_has_lost_does_not_stop_the_others(study, access, incoming):
    stored = []
    fetched = source(access, incoming, stored)
    images = fetched.images(str(study[0].StudyInstanceUID))
    lost = Image(sop_instance_uid=images[1].sop_instance_uid[:-1], series_uid=images[1].series_uid)
    (failure,) = fetched.fetch(str(study[0].StudyInstanceUID), [images[0], lost, images[2]])
    assert stored == [images[0].sop_instance_uid, images[2].sop_instance_uid]
    assert "answers HTTP 404 for an image that it has listed: is it lost there?" in str(failure)
