"""A picture that a peer refuses compressed reaches it in another form, over DIMSE and over STOW-RS."""

import io
import json

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from pynetdicom.presentation import build_context

from scp.configuration.sections import Delivery, Peer
from scp.configuration.settings import Settings
from scp.delivering.sender import Sender
from storage.database.engine import Database
from storage.files.folder import FolderArchive
from tests.support.archive_scp import ArchiveSCP
from tests.support.kinds import ResultKind
from tests.support.owed import NOW, owe, states
from tests.support.web_server import scripted_server

JSON = {"Content-Type": "application/dicom+json"}


@pytest.fixture
def database(tmp_path):
    opened = Database.open(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def pictures(database, tmp_path):
    """The pixels of two pictures that PACS is owed, by SOP Instance UID."""
    archive = FolderArchive(tmp_path)
    uids = owe(database, archive, kinds=[ResultKind.SC, ResultKind.SC], side=32)
    files = [dcmread(path) for path in (tmp_path / "results").rglob("*.dcm")]
    pixels = {str(file.SOPInstanceUID): file.pixel_array for file in files}
    assert sorted(pixels) == sorted(uids)
    return pixels


@pytest.fixture
def deliver(database, tmp_path, pictures):
    """Send all that is owed to PACS; return how many objects it has kept."""

    def send(**entry):
        settings = Settings(
            peers=(Peer(ae_title="PACS", **entry),),
            delivery=Delivery(connect_timeout_seconds=5, answer_timeout_seconds=20),
        )
        archive = FolderArchive(tmp_path)
        sender = Sender(
            settings=settings, database=database, archive=archive, now=lambda: NOW, jitter=lambda: 0.0
        )
        return sender.deliver("PACS")

    return send


@pytest.fixture(scope="module")
def server():
    with scripted_server() as script:
        yield script


@pytest.fixture
def stow(server):
    """A service that answers ``refusal`` to each syntax of ``refused``, and keeps the rest in ``kept``."""
    server.tried, server.kept = [], []
    server.refused, server.refusal = set(), (415, b"")

    def answer(body):
        file = dcmread(io.BytesIO(body.split(b"\r\n\r\n", 1)[1]))
        server.tried.append(file.file_meta.TransferSyntaxUID)
        code, failure = server.refusal
        if server.tried[-1] not in server.refused:
            server.kept.append(file)
            return 200, JSON, stow_answer(file, "ReferencedSOPSequence")
        return (
            code,
            JSON,
            failure if isinstance(failure, bytes) else stow_answer(file, "FailedSOPSequence", failure),
        )

    server.answer = answer
    return server


def stow_answer(file, sequence, failure=None):
    """The body of an answer to STOW-RS about ``file`` (PS3.18 annex I)."""
    item, answer = Dataset(), Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = file.SOPClassUID, file.SOPInstanceUID
    if failure is not None:
        item.FailureReason = failure
    setattr(answer, sequence, [item])
    return json.dumps(answer.to_json_dict()).encode()


REFUSALS = [
    (415, b""),
    (400, b""),
    (409, 0x0122),
    (409, 0xA900),
    (202, 0xC122),
]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_service_that_takes_no_compression_gets_pictures_without_and_is_not_asked_twice(
    database, deliver, pictures, stow, refusal
):
    stow.refused, stow.refusal = {JPEGLSLossless, RLELossless}, refusal
    assert deliver(url=stow.url, compression=("jpeg-ls", "rle")) == 2
    assert states(database) == {}
    assert stow.tried == [JPEGLSLossless, RLELossless, ExplicitVRLittleEndian, ExplicitVRLittleEndian]
    for file in stow.kept:
        assert np.array_equal(file.pixel_array, pictures[file.SOPInstanceUID])


def test_service_gets_the_first_compression_that_it_takes(deliver, pictures, stow):
    stow.refused = {JPEGLSLossless}
    assert deliver(url=stow.url, compression=("jpeg-ls", "jpeg-2000", "rle")) == 2
    assert stow.tried == [JPEGLSLossless, JPEG2000Lossless, JPEG2000Lossless]
    for file in stow.kept:
        assert np.array_equal(file.pixel_array, pictures[file.SOPInstanceUID])


def test_service_that_refuses_a_picture_in_every_form_is_offered_the_compression_again(
    database, deliver, stow
):
    stow.refused, stow.refusal = {JPEGLSLossless, ExplicitVRLittleEndian}, (409, 0xC000)
    assert deliver(url=stow.url, compression=("jpeg-ls",)) == 0
    assert stow.tried == [JPEGLSLossless, ExplicitVRLittleEndian] * 2
    assert {state for state, _ in states(database).values()} == {"OWED"}


@pytest.mark.parametrize("failure", [0xA700, 0x0124])
def test_refusal_that_is_not_about_the_form_is_not_answered_with_another_form(deliver, stow, failure):
    stow.refused, stow.refusal = {JPEGLSLossless}, (409, failure)
    assert deliver(url=stow.url, compression=("jpeg-ls",)) == 0
    assert stow.tried == [JPEGLSLossless] * 2


def test_archive_that_accepts_a_compression_and_cannot_read_it_gets_pictures_without(deliver, pictures):
    def status(data_set):
        return 0xC000 if data_set.file_meta.TransferSyntaxUID == JPEGLSLossless else 0x0000

    syntaxes = [JPEGLSLossless, ExplicitVRLittleEndian]
    with ArchiveSCP("PACS", contexts=[build_context(SecondaryCaptureImageStorage, syntaxes)]) as pacs:
        pacs.status_for = status
        assert deliver(host="127.0.0.1", port=pacs.port, compression=("jpeg-ls",)) == 2
    assert pacs.answers == [0xC000, 0x0000, 0x0000]
    for file in pacs.received:
        assert np.array_equal(file.pixel_array, pictures[file.SOPInstanceUID])
