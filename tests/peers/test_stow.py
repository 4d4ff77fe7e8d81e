"""Images stored at the node by STOW-RS: by dicomweb-client, and by Orthanc's plugin."""

import json
import socket
import struct
import threading
import time
from pathlib import Path

import pytest
from dicomweb_client import DICOMwebClient
from pydicom.uid import CTImageStorage
from requests import HTTPError, RequestException, Session

from scp.web import entrance, parts
from storage import calls
from storage.refused import Refused
from tests.support.authority import Authority
from tests.support.mammograms import uid, write
from tests.support.node_process import NodeProcess, peer
from tests.support.orthanc import Orthanc
from tests.support.peers import free_port, missing
from tests.support.stow import TOKEN, Way, body, encoded, image, post

PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"


@pytest.fixture
def way(tmp_path, monkeypatch):
    monkeypatch.setenv("OTHER_TOKEN", "another token")
    monkeypatch.setenv("MODALITY_TOKEN", TOKEN)
    opened = Way(tmp_path)
    yield opened
    opened.close()


def client(way, token=TOKEN):
    session = Session()
    session.headers["Authorization"] = f"Bearer {token}"
    return DICOMwebClient(way.url, session=session)


def reasons(answer):
    return [item["00081197"]["Value"][0] for item in json.loads(answer).get("00081198", {}).get("Value", [])]


def test_images_are_kept_before_the_answer(way):
    images = [image(1), image(2)]
    for mammogram_sent in images:
        mammogram_sent.preamble = bytes(128)
    answer = client(way).store_instances(images)
    assert [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence] == [
        image_kept.SOPInstanceUID for image_kept in images
    ]
    assert way.objects() == 2
    assert way.ended == [frozenset()]
    assert way.unfinished() == []


def test_orthanc_stores_a_study(way, tmp_path):
    if not Path(PLUGIN).exists():
        missing("Orthanc's DICOMweb plugin is not installed")
    servers = {"node": {"Url": way.url, "HttpHeaders": {"Authorization": f"Bearer {TOKEN}"}}}
    with Orthanc(
        tmp_path / "orthanc",
        node_port=free_port(),
        plugins=[PLUGIN],
        DicomWeb={"Enable": True, "Servers": servers},
    ) as orthanc:
        for number in (1, 2):
            orthanc.upload(write(image(number), tmp_path / f"{number}.dcm"))
        study = orthanc.get("/studies")[0]
        orthanc.post("/dicom-web/servers/node/stow", {"Resources": [study], "Synchronous": True})
    assert way.objects() == 2


@pytest.mark.parametrize("token", ["", "guess", "\u00fc".encode().decode("latin-1")])
def test_stranger_is_sent_away(way, token):
    with pytest.raises(HTTPError, match="401"):
        client(way, token).store_instances([image()])
    assert way.objects() == 0
    assert way.refused() == {Refused.NO_TOKEN: 1}


def test_each_part_has_its_own_answer(way):
    anonymous = image(2)
    anonymous.PatientID = ""
    unknown = encoded(image(3)).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0")
    status, answer = post(way, body(encoded(image(1)), encoded(anonymous), unknown, b"no DICOM"))
    assert status == 202
    assert reasons(answer) == [0xA900, 0xC122]
    assert "0008119A" in json.loads(answer)
    assert way.objects() == 1
    assert way.refused() == {Refused.INCOMPLETE: 1, Refused.OTHER_SYNTAX: 1, Refused.UNREADABLE: 1}
    assert way.unfinished() == []


def test_what_is_no_mammogram_is_dropped_with_success(way):
    foreign = image()
    foreign.SOPClassUID = foreign.file_meta.MediaStorageSOPClassUID = CTImageStorage
    foreign.Modality = "CT"
    assert post(way, body(encoded(foreign)))[0] == 200
    assert way.objects() == 0
    assert way.unfinished() == []


def test_images_of_another_study_than_the_address_names_are_refused(way):
    sent_image = encoded(image())
    assert post(way, body(sent_image), path="/studies/1.2.3")[0] == 409
    assert post(way, body(sent_image), path=f"/studies/{uid('study', 1)}")[0] == 200
    assert way.objects() == 1


def test_peer_that_stores_is_seen(way):
    post(way, body(encoded(image())))
    way.calls.write_down()
    with way.database.read() as tx:
        (caller,) = calls.latest(tx)
    assert (caller.calling_ae, caller.admitted, caller.rejected) == ("MODALITY", 1, 0)


@pytest.mark.parametrize(
    ("content", "more", "expected"),
    [
        (body(b"x" * 3_000_000), {}, 413),
        (body(), {}, 400),
        (b"no parts at all", {}, 400),
        (body(encoded(image()))[:-8], {}, 400),
        (body(encoded(image())), {"Content-Encoding": "gzip"}, 415),
        (body(b""), {"content_type": "application/json"}, 415),
        (body(b""), {"content_type": 'multipart/related; type="application/dicom+json"; boundary=b'}, 415),
        (body(b""), {"content_type": "multipart/related"}, 415),
    ],
)
def test_body_that_is_none_is_refused_and_leaves_nothing(way, content, more, expected):
    assert post(way, content, **more)[0] == expected
    assert way.unfinished() == []
    assert way.refused() == {Refused.TOO_LARGE if expected == 413 else Refused.NO_PARTS: 1}


def test_body_of_more_parts_than_any_study_has_is_refused(way, monkeypatch):
    monkeypatch.setattr(parts, "MOST_PARTS", 3)
    assert post(way, body(*[b"x"] * 4))[0] == 413
    assert way.unfinished() == []


def test_full_disk_asks_the_peer_to_come_again(way):
    way.close()
    full = Way(way.archive.data_dir.parent, disk_reserve_mb=100_000_000)
    try:
        status, answer = post(full, body(encoded(image())))
        assert (status, reasons(answer)) == (503, [0xA700])
        assert full.unfinished() == []
    finally:
        full.close()


def test_sender_that_hangs_up_leaves_nothing_unfinished_and_keeps_what_was_whole(way):
    content = body(encoded(image(1)), encoded(image(2)))[:-3000]
    with socket.create_connection(("127.0.0.1", way.server.port)) as connection:
        head = f"POST /studies HTTP/1.1\r\nHost: node\r\nAuthorization: Bearer {TOKEN}\r\n"
        head += 'Content-Type: multipart/related; type="application/dicom"; boundary=b\r\n'
        connection.sendall(f"{head}Content-Length: {len(content) + 3000}\r\n\r\n".encode() + content)
        assert way.arrived.wait(30)
    assert way.called.wait(30)
    assert way.objects() == 1
    assert way.unfinished() == []


REQUEST = b"POST /studies HTTP/1.1\r\nHost: node\r\nX: "
TURNED_AWAY = b"POST /studies HTTP/1.1\r\nHost: node\r\nContent-Length: 100000\r\n\r\n"


def silent(way, sent=b""):
    connection = socket.create_connection(("127.0.0.1", way.server.port), timeout=30)
    connection.sendall(sent)
    return connection


def rest(connection):
    """Return what comes until the other side ends the connection."""
    received = b""
    try:
        while piece := connection.recv(4096):
            received += piece
    except ConnectionResetError:
        pass
    connection.close()
    return received


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [(b"", 0.3), (REQUEST, 0.3), (TURNED_AWAY, 1.5)],  # an answer has to come in time
    ids=["nothing", "half a request", "a body"],
)
def test_stranger_has_one_time_for_a_request_and_its_answer(way, monkeypatch, sent, seconds):
    monkeypatch.setattr(entrance, "SECONDS", seconds)
    connection = silent(way, sent)
    dripping = threading.Thread(target=drip, args=(connection,))
    dripping.start()
    answer = rest(connection)
    dripping.join()
    assert (b"401" in answer) == (sent == TURNED_AWAY)


def drip(connection):
    try:
        while True:
            time.sleep(0.1)  # it is the pace that is tested
            connection.sendall(b"x")
    except OSError:
        return


@pytest.mark.parametrize("secure", [False, True])
def test_no_address_holds_more_than_its_share_of_connections(tmp_path, monkeypatch, secure):
    monkeypatch.setattr(entrance, "places", lambda _: 8)
    monkeypatch.setenv("OTHER_TOKEN", "another token")
    monkeypatch.setenv("MODALITY_TOKEN", TOKEN)
    way = Way(tmp_path, tls=Authority(tmp_path / "authority").tls("node") if secure else None)
    try:
        first, *other_sockets = [silent(way) for _ in range(3)]
        assert rest(first) == b""
        if not secure:
            assert post(way, body(encoded(image())))[0] == 200
        for sent_image in other_sockets:
            sent_image.close()
    finally:
        way.close()


def test_known_peer_may_take_longer_than_strangers(way, monkeypatch):
    monkeypatch.setattr(entrance, "SECONDS", 1.0)
    content = body(encoded(image()))
    head = f"POST /studies HTTP/1.1\r\nHost: node\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n"
    head += 'Content-Type: multipart/related; type="application/dicom"; boundary=b\r\n'
    connection = silent(way, f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content[:-50])
    time.sleep(2.0)  # twice the time of a stranger
    connection.sendall(content[-50:])
    assert rest(connection).startswith(b"HTTP/1.1 200")


def test_peer_that_drips_has_one_time_for_its_whole_body(tmp_path, way):
    way.close()
    impatient = Way(tmp_path, network_timeout_seconds=1)
    try:
        head = (
            f"POST /studies HTTP/1.1\r\nHost: node\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n"
        )
        head += 'Content-Type: multipart/related; type="application/dicom"; boundary=b\r\n'
        connection = silent(impatient, f"{head}Content-Length: 1000000\r\n\r\n\r\n--b\r\n\r\n".encode())
        dripping = threading.Thread(target=drip, args=(connection,))
        dripping.start()
        answer = rest(connection)
        dripping.join()
        assert answer.startswith(b"HTTP/1.1 408")
        assert impatient.unfinished() == []
    finally:
        impatient.close()


def test_stranger_has_the_same_time_for_a_tls_handshake(tmp_path, way, monkeypatch):
    monkeypatch.setattr(entrance, "SECONDS", 1.0)
    way.close()
    secure = Way(tmp_path, tls=Authority(tmp_path / "authority").tls("node"))
    try:
        with socket.create_connection(("127.0.0.1", secure.server.port)):
            pass  # as programs do that watch whether a port is open: no failure
        with socket.create_connection(("127.0.0.1", secure.server.port)) as reset:
            reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert rest(silent(secure, b"\x16\x03\x01")) == b""
        assert rest(silent(secure)) == b""
        assert secure.refused() == {Refused.TLS: 1, Refused.SILENT: 1}
    finally:
        secure.close()


def test_images_come_over_tls(way, tmp_path):
    way.close()
    authority = Authority(tmp_path / "authority")
    secure = Way(tmp_path, tls=authority.tls("node"))
    try:
        session = Session()
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        session.trust_env, session.verify = False, str(authority.pem)
        sent_image = image()
        sent_image.preamble = bytes(128)
        url = f"https://127.0.0.1:{secure.server.port}"
        assert (
            len(DICOMwebClient(url, session=session).store_instances([sent_image]).ReferencedSOPSequence) == 1
        )
        with pytest.raises(RequestException):
            session.post(f"{secure.url}/studies", data=b"", timeout=30)
    finally:
        secure.close()


def test_node_listens_for_it_and_ends_with_it(tmp_path):
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    port = free_port()
    stow = f"[stow]\nenabled = true\nport = {port}\n"
    pacs = peer("PACS", free_port(), stow_token=f'"{token}"')
    with NodeProcess(tmp_path / "node", peers=pacs, extra=stow) as node:
        session = Session()
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        sent_image = image()
        sent_image.preamble = bytes(128)
        answer = DICOMwebClient(f"http://127.0.0.1:{port}", session=session).store_instances([sent_image])
        assert len(answer.ReferencedSOPSequence) == 1
        assert node.stop() == 0
        log = node.log.read_text()
    assert f"stow_port={port}" in log
    assert "outcome=NEW" in log
    assert TOKEN not in log
