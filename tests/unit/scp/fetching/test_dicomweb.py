"""What a DICOMweb service may answer to QIDO-RS and WADO-RS that Orthanc never answers: a scripted one does.

`tests/peers/test_dicomweb.py` asks Orthanc itself.
"""

import copy
import io
import json
from pathlib import Path

import pytest
from pydicom.uid import BreastTomosynthesisImageStorage

from scp.configuration.sections import Delivery, Peer
from scp.configuration.settings import Settings
from scp.fetching import dicomweb
from scp.fetching.dicomweb import WebSource
from scp.fetching.query import Query
from scp.fetching.source import Image, Keeper, SourceClosedError
from tests.support.mammograms import mammogram, uid
from tests.support.web_server import scripted_server

STUDY = str(uid("study", "1"))
IMAGES = [
    mammogram("R", view, number=number, rows=32, columns=32) for number, view in ((1, "CC"), (2, "MLO"))
]
REQUESTS = [
    Image(sop_instance_uid=str(image.SOPInstanceUID), series_uid=str(image.SeriesInstanceUID))
    for image in IMAGES
]
JSON = {"Content-Type": "application/dicom+json"}
PARTS = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=edge'}


@pytest.fixture(scope="module")
def service():
    with scripted_server() as script:
        yield script


@pytest.fixture
def stored():
    """The SOP Instance UIDs of what the node was given to keep."""
    return []


@pytest.fixture
def source(service, stored, tmp_path):
    peer = Peer(ae_title="PACS", url=service.url)
    delivery = Delivery(connect_timeout_seconds=2, answer_timeout_seconds=5)

    def keep(path: Path) -> None:
        stored.append(path.read_bytes())

    return WebSource(
        settings=Settings(peers=(peer,), delivery=delivery),
        peer=peer,
        keeper=Keeper(receive=keep),
        incoming=tmp_path,
    )


def listed(*images):
    """The body of an answer to QIDO-RS."""
    return json.dumps([json.loads(image.to_json()) for image in images]).encode()


def headers_only(image):
    header = copy.deepcopy(image)
    del header.PixelData
    return header


def part(image):
    """The body of an answer to WADO-RS with one object."""
    file = io.BytesIO()
    image.save_as(file, enforce_file_format=True)
    return multipart(file.getvalue())


def multipart(content):
    return b"--edge\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n--edge--\r\n"


def by_address(service, answers):
    """Answer by the SOP Instance UID at the end of the address."""
    service.answer = lambda _: answers[service.requests[-1][0].rsplit("/", 1)[-1]]


def test_pages_are_asked_for_until_one_brings_nothing_new(service, source, monkeypatch):
    monkeypatch.setattr(dicomweb, "PAGE", 1)
    headers = [headers_only(image) for image in IMAGES]

    def page(_):
        offset = int(service.requests[-1][0].partition("offset=")[2].partition("&")[0] or 0)
        return 200, JSON, listed(*headers[offset : offset + 1])

    service.requests.clear()
    service.answer = page
    assert [image.sop_instance_uid for image in source.images(STUDY)] == [
        image.sop_instance_uid for image in REQUESTS
    ]
    assert len(service.requests) == 3


def test_service_that_ignores_the_offset_is_asked_twice_and_no_more(service, source):
    service.requests.clear()
    service.answer = (200, JSON, listed(*map(headers_only, IMAGES)))
    assert len(source.images(STUDY)) == 2
    assert len(service.requests) == 2


@pytest.mark.parametrize("answer", [(204, {}, b""), (200, JSON, b""), (200, JSON, b"[]")])
def test_nothing_found_is_no_failure(service, source, answer):
    service.answer = answer
    assert source.studies(Query(origin="accession A", accession="A")) == []
    assert source.images(STUDY) == []


def test_study_of_another_patient_is_not_taken_from_a_service_that_ignores_the_key(service, source):
    service.answer = (200, JSON, listed(headers_only(IMAGES[0])))
    assert source.studies(Query(origin="patient", patient_id="SOMEBODY")) == []
    assert source.studies(Query(origin="patient", patient_id=str(IMAGES[0].PatientID))) == [STUDY]


def test_tomosynthesis_is_not_fetched_and_an_unknown_class_is_tried(service, source):
    deep, unknown = (headers_only(image) for image in IMAGES)
    deep.SOPClassUID = BreastTomosynthesisImageStorage
    del unknown.SOPClassUID
    service.answer = (200, JSON, listed(deep, unknown))
    assert [image.sop_instance_uid for image in source.images(STUDY)] == [str(unknown.SOPInstanceUID)]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, {}, b""), "HTTP 401, it does not let this node in: correct url_credentials"),
        ((403, {}, b""), "HTTP 403, it does not let this node in"),
        ((404, {}, b""), "is the url the root of its DICOMweb service"),
        ((500, {}, b""), "HTTP 500, it cannot do it now"),
        ((302, {"Location": "http://127.0.0.1:1/login"}, b""), "it sends elsewhere: correct url"),
        ((200, {"Content-Type": "text/html"}, b"<html>log in</html>"), "no DICOMweb service"),
        ((200, JSON, b'"a text"'), "no DICOMweb service"),
        ((200, JSON, b"[1, 2]"), "no DICOMweb service"),
    ],
)
def test_search_that_is_not_answered_closes_the_source_and_says_what_to_correct(
    service, source, answer, words
):
    service.answer = answer
    with pytest.raises(SourceClosedError, match=words):
        source.studies(Query(origin="accession A", accession="A"))


@pytest.mark.parametrize("body", [b"{}", b'[{"0020000D": 5}]', b'[{"0020000D": {"vr": "UI", "Value": 5}}]'])
def test_match_that_names_no_study_is_none(service, source, body):
    service.answer = (200, JSON, body)
    assert source.studies(Query(origin="accession A", accession="A")) == []


def test_images_come_one_after_the_other_and_leave_nothing_behind(service, source, stored, tmp_path):
    service.answer = lambda _: (200, PARTS, part(IMAGES[len(stored)]))
    assert source.fetch(STUDY, REQUESTS) == []
    assert [image.PixelData in content for image, content in zip(IMAGES, stored, strict=True)] == [True, True]
    assert list(tmp_path.iterdir()) == []


def test_an_object_that_is_no_part_of_a_message_is_taken_all_the_same(service, source, stored):
    file = io.BytesIO()
    IMAGES[0].save_as(file, enforce_file_format=True)
    service.answer = (200, {"Content-Type": "application/dicom"}, file.getvalue())
    with pytest.warns(UserWarning, match="not compliant"):
        assert source.fetch(STUDY, REQUESTS[:1]) == []
    assert len(stored) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((404, {}, b""), "answers HTTP 404 for an image that it has listed: is it lost there"),
        ((410, {}, b""), "HTTP 410"),
        ((406, {}, b""), "HTTP 406"),
        ((200, PARTS, b""), "no DICOM object"),
        ((200, PARTS, multipart(b"not a file")), "no DICOM object"),
        ((200, {"Content-Type": "text/html"}, b"<html>log in</html>"), "no DICOM object"),
        (
            (200, PARTS, part(mammogram(number=99, rows=32, columns=32))),
            "another image than it was asked for",
        ),
        (
            (200, PARTS, part(mammogram(study="9", rows=32, columns=32))),
            "another image than it was asked for",
        ),
    ],
)
def test_one_image_that_is_missing_does_not_stop_the_others(service, source, stored, tmp_path, answer, words):
    lost, good = REQUESTS
    by_address(service, {lost.sop_instance_uid: answer, good.sop_instance_uid: (200, PARTS, part(IMAGES[1]))})
    (failure,) = source.fetch(STUDY, REQUESTS)
    assert words in str(failure)
    assert not failure.again
    assert len(stored) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("status", "words"), [(401, "correct url_credentials"), (503, "cannot do it now")])
def test_service_that_ends_in_between_closes_the_source(service, source, stored, status, words):
    first, second = REQUESTS
    by_address(
        service,
        {first.sop_instance_uid: (200, PARTS, part(IMAGES[0])), second.sop_instance_uid: (status, {}, b"")},
    )
    with pytest.raises(SourceClosedError, match=words):
        source.fetch(STUDY, REQUESTS)
    assert len(stored) == 1


def test_disk_that_takes_nothing_closes_the_source(service, source, tmp_path):
    service.answer = (200, PARTS, part(IMAGES[0]))
    tmp_path.rmdir()
    with pytest.raises(SourceClosedError, match="the data directory takes no image now"):
        source.fetch(STUDY, REQUESTS[:1])
