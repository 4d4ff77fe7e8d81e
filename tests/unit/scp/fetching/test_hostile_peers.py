"""Peers that answer queries and retrievals with what nobody asked for: real associations, over loopback."""

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    DigitalMammographyXRayImageStorageForPresentation,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)

from scp.configuration.sections import Node, Peer
from scp.configuration.settings import Settings
from scp.fetching import dimse
from scp.fetching.dimse import DimseSource
from scp.fetching.query import Query
from scp.fetching.source import NOT_ASKED_FOR, FetchError, Image, Keeper, SourceClosedError
from scp.network.pynetdicom_fixes import received_file
from tests.support.mammograms import mammogram, uid

PENDING, SUCCESS = 0xFF00, 0x0000
QUERY = Query(origin="accession A", accession="A")
STUDY = str(uid("study", 1))


class Archive:
    """Answers a C-FIND with ``matches``, and a C-GET with ``images``, whatever was asked."""

    def __init__(self):
        self.matches = []
        self.images = []
        entity = AE(ae_title="PACS")
        entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        entity.add_supported_context(StudyRootQueryRetrieveInformationModelGet)
        entity.add_supported_context(
            DigitalMammographyXRayImageStorageForPresentation, scu_role=True, scp_role=True
        )
        handlers = [(evt.EVT_C_FIND, self._find), (evt.EVT_C_GET, self._get)]
        self.server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)

    def _find(self, _event):
        for match in self.matches:
            yield PENDING, match

    def _get(self, _event):
        yield len(self.images)
        for image in self.images:
            yield PENDING, image


@pytest.fixture(scope="module")
def server():
    archive = Archive()
    yield archive
    archive.server.shutdown()


@pytest.fixture
def archive(server):
    server.matches, server.images = [], []
    return server


@pytest.fixture
def received():
    return []


@pytest.fixture
def source(archive, tmp_path, received):
    peer = Peer(ae_title="PACS", host="127.0.0.1", port=archive.server.server_address[1])
    return DimseSource(
        settings=Settings(node=Node(data_dir=tmp_path), peers=(peer,)),
        peer=peer,
        keeper=Keeper(receive=lambda path: received.append(path.name)),
        incoming=tmp_path,
        moves=False,
        recognised=lambda _: (),
    )


@pytest.fixture
def received_in_memory():
    """The library's switches are the process's: what `receive_in_chunks` sets is for fetching here alone."""
    yield
    received_file.remove_left()


def match(**values):
    data_set = Dataset()
    for keyword, value in values.items():
        setattr(data_set, keyword, value)
    return data_set


@pytest.mark.filterwarnings("ignore")  # pydicom's, about what is sent
@pytest.mark.parametrize("study_uid", ["../../x", "1.2\x1b[2J", "1." * 40 + "1", ["1.2", "1.3"], "", "."])
def test_study_whose_uid_is_none_is_left_out(archive, source, study_uid):
    archive.matches = [
        match(StudyInstanceUID=study_uid),
        match(AccessionNumber="A"),
        match(StudyInstanceUID=STUDY),
    ]
    assert source.studies(QUERY) == [STUDY]


def test_answers_without_end_are_given_up(archive, source, monkeypatch):
    monkeypatch.setattr(dimse, "MOST_MATCHES", 5)
    archive.matches = [match(StudyInstanceUID=f"1.2.{number}") for number in range(50)]
    with pytest.raises(FetchError, match="more than 20000 matches"):
        source.studies(QUERY)


def test_answers_that_take_for_ever_are_given_up(archive, source, monkeypatch):
    monkeypatch.setattr(dimse, "FIND_SECONDS", -1.0)
    archive.matches = [match(StudyInstanceUID=STUDY)] * 3
    with pytest.raises(SourceClosedError, match="did not end"):
        source.studies(QUERY)


@pytest.mark.usefixtures("received_in_memory")
def test_image_that_was_not_asked_for_is_not_kept(archive, source, received, tmp_path):
    archive.images = [mammogram("R", "CC", number=number) for number in (1, 2)]
    requested = Image(sop_instance_uid=str(archive.images[0].SOPInstanceUID), series_uid="1.2")
    (failure,) = source.fetch(STUDY, [requested])
    assert (str(failure), len(received)) == (NOT_ASKED_FOR, 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("received_in_memory")
def test_peer_that_stores_what_nobody_asked_for_is_hung_up(archive, source, received, tmp_path):
    archive.images = [mammogram("R", "CC", number=number) for number in range(40)]
    with pytest.raises(SourceClosedError):
        source.fetch(STUDY, [Image(sop_instance_uid="1.2.3", series_uid="1.2")])
    assert not received
    assert len(source.failures) < 40
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("received_in_memory")
def test_success_without_an_image_is_no_success(source):
    (failure,) = source.fetch(STUDY, [Image(sop_instance_uid="1.2.3", series_uid="1.2")])
    assert "1 images did not come" in str(failure)
    assert failure.again
