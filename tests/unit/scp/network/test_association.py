"""Why no association came about: each reason has its sentence, and every one means "again, later"."""

import socket
import ssl
import struct
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import structlog
from pynetdicom.presentation import build_context

from scp.configuration.sections import Delivery, Peer
from scp.configuration.settings import Settings
from scp.network import association, contexts
from scp.network.association import Unreachable
from tests.support import two_pieces
from tests.support.archive_scp import ArchiveSCP
from tests.support.authority import Authority
from tests.support.peers import free_port


def call(host, port, sop_class=None):
    peer = Peer(ae_title="PACS", host=host, port=port)
    delivery = Delivery(connect_timeout_seconds=5, answer_timeout_seconds=5)
    settings = Settings(peers=(peer,), delivery=delivery)
    proposed = contexts.commitment() if sop_class is None else build_context(sop_class)
    return association.associate(settings, peer, [proposed])


def test_host_name_that_nobody_knows_is_named(monkeypatch):
    def unknown(*_args, **_more):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(
        Unreachable, match=r"PACS at .*: host name 'pacs\.invalid' is unknown to this machine"
    ):
        call("pacs.invalid", 104)


def test_port_where_nobody_listens_is_told_from_an_abort():
    with pytest.raises(Unreachable, match="nothing answers there"):
        call("127.0.0.1", free_port())


@pytest.mark.parametrize("head", [6, two_pieces.DCMTK_HEAD])
def test_answer_in_two_pieces_is_read_at_once(head):
    with two_pieces.verification_scp(head) as port:
        seconds = two_pieces.quickest_echo(call("127.0.0.1", port, contexts.VERIFICATION))
    assert seconds < 0.03, "the second piece waits 0.04 s for what Linux holds back"


def test_peer_that_hangs_up_is_told_from_one_that_is_not_there():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(30)
        thread = threading.Thread(target=hang_up, args=(listening,))
        thread.start()
        with pytest.raises(
            Unreachable, match=r"aborted the association or did not answer.*want TLS at this port"
        ):
            call(*listening.getsockname())
        thread.join()


def test_port_that_wants_tls_is_named_as_a_guess_to_a_call_without(tmp_path):
    section = Authority(tmp_path).tls("pacs", kind="EC")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(section.certificate, section.key)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(30)
        with ThreadPoolExecutor() as threads:
            answering = threads.submit(refuse_without_tls, listening, context)
            with pytest.raises(Unreachable, match=r"want TLS at this port \(`tls = true`\)"):
                call(*listening.getsockname())
            assert "HTTP" in answering.result() or "WRONG_VERSION" in answering.result()


def test_peer_that_rejects_is_not_guessed_to_want_tls():
    with ArchiveSCP("PACS") as pacs:
        pacs._server.ae.require_calling_aet = ["SOMEBODY"]
        with pytest.raises(Unreachable) as refusal:
            call("127.0.0.1", pacs.port)
    assert "register this node's AE title" in str(refusal.value)
    assert "TLS" not in str(refusal.value)


def refuse_without_tls(listening, context):
    connection, _ = listening.accept()
    connection.settimeout(30)
    with pytest.raises(ssl.SSLError) as refusal, context.wrap_socket(connection, server_side=True):
        pass
    return refusal.value.reason


def hang_up(listening):
    connection, _ = listening.accept()
    connection.recv(1)
    connection.close()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (struct.pack(">BBL", 2, 0, 2**32 - 1) + bytes(1000), "claims 4294967295 bytes"),
        (struct.pack(">BBL", 3, 0, 70_000) + bytes(1000), "claims 70000 bytes"),
        (b"HTTP/1.1 400 Bad Request", "unknown type 0x48"),
    ],
)
def test_answer_that_claims_more_than_any_may_have_is_not_read(answer, words):
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor() as threads:
        listening.settimeout(30)
        answering = threads.submit(answer_with, listening, answer)
        with structlog.testing.capture_logs() as logged, pytest.raises(Unreachable):
            call(*listening.getsockname())
        assert answering.result()
    (line,) = [entry for entry in logged if "broke the protocol" in entry["event"]]
    assert words in line["reason"]
    assert line["peer"] == "PACS"


def answer_with(listening, answer):
    """Answer a request so; tell whether the caller aborted the association."""
    connection, _ = listening.accept()
    with connection:
        connection.settimeout(30)
        connection.recv(65_536)
        connection.sendall(answer)
        return connection.recv(65_536)[:1] == b"\x07"
