"""The body of a STOW-RS request, in chunks of any size."""

import pytest
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation

from scp.network import status
from scp.network.status import Foreign
from scp.web import parts
from scp.web.parts import Parts, TooLargeError
from storage.refused import Refused
from tests.support.mammograms import mammogram, write

BOUNDARY = b"edge"


@pytest.fixture
def encoded(tmp_path):
    return write(mammogram(number=1), tmp_path / "image.dcm").read_bytes()


@pytest.fixture
def folder(tmp_path):
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    return incoming


def body(*contents):
    whole = b"".join(
        b"--" + BOUNDARY + b"\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n"
        for content in contents
    )
    return whole + b"--" + BOUNDARY + b"--\r\n"


def take(
    folder,
    sent,
    *,
    chunk=4096,
    keep=lambda _: None,
    longest=10_000_000,
    study_uid=None,
    dropped=True,
    refused=lambda *_: None,
):
    with Parts(
        boundary=BOUNDARY,
        longest=longest,
        folder=folder,
        keep=keep,
        drop_foreign=dropped,
        refused=refused,
        study_uid=study_uid,
    ) as request:
        for first in range(0, len(sent), chunk):
            request.take(sent[first : first + chunk])
    return request


@pytest.mark.parametrize("chunk", [7, 4096, 10_000_000])
def test_each_part_is_kept_whole_and_its_file_is_gone_then(folder, encoded, chunk):
    files = []
    request = take(
        folder, body(encoded, encoded), chunk=chunk, keep=lambda path: files.append(path.read_bytes())
    )
    assert files == [encoded, encoded]
    assert [part.status for part in request.stored] == [status.SUCCESS, status.SUCCESS]
    assert request.complete
    assert not list(folder.iterdir())


def test_a_body_that_breaks_off_keeps_nothing_of_its_last_part(folder, encoded):
    files = []
    request = take(folder, body(encoded)[: len(encoded) // 2], keep=files.append)
    assert (files, request.stored, request.complete) == ([], [], False)
    assert not list(folder.iterdir())


def test_a_part_that_is_no_dicom_is_named_as_an_unknown_failure(folder):
    [part] = take(folder, body(b"no image")).stored
    assert part.status == status.CANNOT_UNDERSTAND
    answered = parts.answer([part])
    assert "ReferencedSOPSequence" not in answered
    assert answered.OtherFailuresSequence[0].FailureReason == status.CANNOT_UNDERSTAND


def test_images_of_another_study_than_the_address_names_are_refused(folder, encoded):
    [part] = take(folder, body(encoded), study_uid="1.2.3").stored
    answered = parts.answer([part])
    assert (
        answered.FailedSOPSequence[0].ReferencedSOPClassUID
        == DigitalMammographyXRayImageStorageForPresentation
    )
    assert part.status != status.SUCCESS


@pytest.mark.parametrize("dropped", [True, False])
def test_what_is_foreign_is_dropped_with_success_or_refused(folder, encoded, dropped):
    def keep(_path):
        raise Foreign("not for this node")

    [part] = take(folder, body(encoded), keep=keep, dropped=dropped).stored
    assert (part.status == status.SUCCESS) is dropped


def test_a_disk_that_fails_asks_to_come_again(folder, encoded):
    def keep(_path):
        raise OSError(28, "No space left on device")

    counted = []
    [part] = take(folder, body(encoded), keep=keep, refused=lambda *counts: counted.append(counts)).stored
    assert part.status == status.OUT_OF_RESOURCES
    assert counted == [(Refused.NO_ROOM, DigitalMammographyXRayImageStorageForPresentation)]


def test_too_many_bytes_and_too_many_parts_end_the_request(folder, encoded, monkeypatch):
    with pytest.raises(TooLargeError):
        take(folder, body(encoded), longest=len(encoded) // 2)
    monkeypatch.setattr(parts, "MOST_PARTS", 2)
    with pytest.raises(TooLargeError):
        take(folder, body(b"1", b"2", b"3"))
    assert not list(folder.iterdir())
