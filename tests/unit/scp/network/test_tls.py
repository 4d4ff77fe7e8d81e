"""TLS over real loopback sockets: the listener on one side, Python's own ssl or pynetdicom on the other."""

import hashlib
import re
import socket
import ssl
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification
from structlog.testing import capture_logs

from scp.configuration.sections import Node, Peer
from scp.configuration.settings import Settings
from scp.network import association as calling
from scp.network import contexts, tls
from scp.network.association import Address, Unreachable, echo
from scp.receiving.admission import Admission
from scp.receiving.listener import Listener
from scp.receiving.server import Server
from storage.files.folder import FolderArchive
from tests.support.authority import Authority, openssl
from tests.support.mammograms import mammogram
from tests.support.scu import store
from tests.support.uncounted import UNCOUNTED, UNCOUNTED_CALLS


@pytest.fixture(scope="module")
def node_tls(authority):
    return authority.tls("node")


@pytest.fixture(scope="module")
def pacs_tls(authority):
    return authority.tls("pacs", kind="EC")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory, authority):
    """Believes our authority, is signed by another."""
    return Authority(tmp_path_factory.mktemp("other")).tls("stranger", authorities=authority.pem)


def fingerprint(section):
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(section.certificate.read_text())).hexdigest()


class Keeper:
    """Stands for the receiver."""

    def __init__(self, folder):
        self.archive = FolderArchive(folder)
        self.stored = []

    def keep(self, path, *, calling_ae, pixels=None):
        self.stored.append(path.read_bytes())


@pytest.fixture
def listening(tmp_path, node_tls):
    """Start a node that knows ``peer``; returns the ports with and without TLS, and its keeper."""
    servers = []

    def start(*, section=node_tls, client_certificate="required", seconds=30, **peer):
        keeper = Keeper(tmp_path)
        settings = Settings(
            node=Node(host="127.0.0.1", port=0, data_dir=tmp_path, acse_timeout_seconds=seconds),
            tls=section.model_copy(update={"client_certificate": client_certificate}),
            peers=(Peer(ae_title="PACS", results_to=(), **peer),),
        )
        listener = Listener(
            settings=settings,
            receiver=keeper,
            admission=Admission(settings),
            association_ended=lambda: None,
            refusals=UNCOUNTED,
            calls=UNCOUNTED_CALLS,
        )
        servers.extend([listener.start_tls(), listener.start()])
        return servers[-2].server_address[1], servers[-1].server_address[1], keeper

    yield start
    with ThreadPoolExecutor() as threads:  # each takes half a second
        list(threads.map(Server.shutdown, servers))


@pytest.fixture
def scp():
    """Start a Verification SCP with the TLS of a section; returns its port."""
    servers = []

    def start(section=None):
        entity = AE(ae_title="PACS")
        entity.add_supported_context(Verification)
        context = None if section is None else tls.answerer(section)
        servers.append(entity.start_server(("127.0.0.1", 0), block=False, ssl_context=context))
        return servers[-1].server_address[1]

    yield start
    for server in servers:
        server.shutdown()


def call(port, section, **peer):
    """Call a port of the node as PACS does; returns what C-ECHO says."""
    peer = Peer(ae_title="SECONDREAD", host="127.0.0.1", port=port, tls=True, **peer)
    caller = None if section is None else tls.caller(section, peer)
    address = Address(host="127.0.0.1", port=port, calling="PACS", called="SECONDREAD", caller=caller)
    return echo(address, seconds=30.0)


def settings(section, port, **peer):
    peer = {"host": "127.0.0.1", **peer}
    return Settings(tls=section, peers=(Peer(ae_title="PACS", port=port, tls=True, **peer),))


def complaint(section, port, **peer):
    """Call PACS as a delivery does; returns why no association came about."""
    chosen = settings(section, port, **peer)
    with pytest.raises(Unreachable) as caught:
        calling.associate(chosen, chosen.peers[0], contexts.proposed({contexts.VERIFICATION}))
    return str(caught.value)


def logged(entries, event, seconds=30):
    """Wait until ``event`` is logged: what a closed connection left in the log has no other sign."""
    deadline = time.monotonic() + seconds
    while not (matching := [entry for entry in entries if entry["event"] == event]):
        assert time.monotonic() < deadline, entries
        time.sleep(0.02)
    return matching[0]


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_both_versions_are_spoken_and_client_and_server_show_certificates(listening, pacs_tls, version):
    port, _, _ = listening(tls=True, certificate_sha256=fingerprint(pacs_tls))
    peer = Peer(ae_title="SECONDREAD", host="127.0.0.1", port=port, tls=True)
    caller = tls.caller(pacs_tls, peer)
    caller.minimum_version = caller.maximum_version = ssl.TLSVersion[version]
    address = Address(host="127.0.0.1", port=port, calling="PACS", called="SECONDREAD", caller=caller)
    assert echo(address, seconds=30.0).ok


def test_image_arrives_over_tls_as_it_was_sent(listening, pacs_tls, monkeypatch):
    port, _, keeper = listening(tls=True)
    caller = tls.caller(pacs_tls, Peer(ae_title="SECONDREAD", host="127.0.0.1", port=port, tls=True))
    image = mammogram("R", "CC", rows=1024, columns=1024)
    plain = AE.associate
    monkeypatch.setattr(AE, "associate", lambda *a, **k: plain(*a, **k, tls_args=caller.arguments))
    (answer,) = store(port, [image])
    assert answer.Status == 0
    assert keeper.stored[0].endswith(image.PixelData)


def test_only_the_suites_of_the_profile_are_offered(node_tls):
    for context in (
        tls.answerer(node_tls),
        tls.caller(node_tls, Peer(ae_title="A", host="a", port=1, tls=True)),
    ):
        names = {cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] == "TLSv1.2"}
        assert names == {
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            "ECDHE-RSA-AES128-GCM-SHA256",
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            "ECDHE-RSA-AES256-GCM-SHA384",
        }
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("fault", ["no certificate", "unknown authority", "expired"])
def test_caller_without_a_good_certificate_is_refused_in_one_sentence(
    listening, authority, stranger, fault, version
):
    port, _, _ = listening()
    caller = ssl.create_default_context(cafile=authority.pem)
    caller.minimum_version = caller.maximum_version = ssl.TLSVersion[version]
    if fault == "unknown authority":
        caller.load_cert_chain(stranger.certificate, stranger.key)
    elif fault == "expired":
        caller.load_cert_chain(*authority.sign("expired", days=-1, kind="EC"))
    with capture_logs() as entries, socket.create_connection(("127.0.0.1", port)) as raw:
        try:
            with caller.wrap_socket(raw, server_hostname="127.0.0.1") as secured:
                assert secured.recv(1) == b""
        except OSError:
            pass  # the alert may come in the handshake or after it
        line = logged(entries, "connection closed: TLS failed")
    words = {
        "no certificate": "it showed no certificate",
        "unknown authority": "unable to get local issuer certificate",
        "expired": "certificate has expired",
    }
    assert words[fault] in line["reason"]
    assert line["address"] == "127.0.0.1"


def test_caller_may_come_without_a_certificate_where_it_is_optional_but_not_as_a_peer_bound_to_one(
    listening, authority, pacs_tls
):
    port, _, _ = listening(client_certificate="optional", tls=True, certificate_sha256=fingerprint(pacs_tls))
    caller = tls.caller(pacs_tls, Peer(ae_title="SECONDREAD", host="127.0.0.1", port=port, tls=True))
    bare = tls.Caller(ssl.PROTOCOL_TLS_CLIENT)
    bare.load_verify_locations(authority.pem)
    bare.server_name, bare.expected, bare.failure = "127.0.0.1", None, None
    address = Address(host="127.0.0.1", port=port, calling="PACS", called="SECONDREAD", caller=caller)
    assert echo(address, seconds=30.0).ok
    with capture_logs() as entries:
        answer = echo(replace(address, caller=bare), seconds=30.0)
        line = logged(entries, "association rejected")
    assert "does not know our AE title" in answer.reason
    assert "showed no certificate" in line["reason"]


def test_old_tls_is_refused(listening, authority):
    port, _, _ = listening()
    caller = ssl.create_default_context(cafile=authority.pem)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        caller.minimum_version = ssl.TLSVersion.TLSv1_1
        caller.maximum_version = ssl.TLSVersion.TLSv1_1
    caller.set_ciphers("DEFAULT:@SECLEVEL=0")
    with capture_logs() as entries, socket.create_connection(("127.0.0.1", port)) as raw:
        with pytest.raises(OSError, match=r"(?i)version|reset|EOF"):
            caller.wrap_socket(raw, server_hostname="127.0.0.1")
        line = logged(entries, "connection closed: TLS failed")
    assert "nothing newer than TLS 1.1" in line["reason"]


def test_plain_caller_at_the_port_with_tls_is_told_apart(listening, pacs_tls):
    port, _, _ = listening()
    with capture_logs() as entries:
        assert not call(port, None).ok
        line = logged(entries, "connection closed: no TLS at the port with TLS")
    assert "[node] port" in line["remedy"]


def test_tls_caller_at_the_port_without_tls_is_told_apart(listening, pacs_tls):
    _, port, _ = listening()
    with capture_logs() as entries:
        answer = call(port, pacs_tls)
        line = logged(entries, "connection closed: TLS at the port without TLS")
    assert answer.reason.startswith("no TLS: it hung up")
    assert "[tls] port" in line["remedy"]


def test_what_is_neither_is_closed(listening):
    port, _, _ = listening()
    with capture_logs() as entries, socket.create_connection(("127.0.0.1", port)) as web:
        web.sendall(b"GET / HTTP/1.0\r\n\r\n")
        logged(entries, "connection closed: neither TLS nor DICOM at the port with TLS")


def test_peer_that_has_tls_may_not_come_without(listening):
    _, port, _ = listening(tls=True)
    with capture_logs() as entries:
        answer = call(port, None)
        line = logged(entries, "association rejected")
    assert "does not know our AE title" in answer.reason
    assert "called without TLS" in line["reason"]


def test_peer_is_bound_to_its_certificate(listening, pacs_tls):
    port, _, _ = listening(tls=True, certificate_sha256="0" * 64)
    with capture_logs() as entries:
        assert not call(port, pacs_tls).ok
        line = logged(entries, "association rejected")
    assert fingerprint(pacs_tls) in line["reason"]


@pytest.mark.parametrize(("subject", "admitted"), [("CN=pacs", True), ("CN=ct1, O=Hospital", False)])
def test_peer_is_bound_to_the_subject_of_its_certificate(listening, pacs_tls, subject, admitted):
    port, _, _ = listening(tls=True, certificate_subject=subject)
    with capture_logs() as entries:
        assert call(port, pacs_tls).ok is admitted
        if not admitted:
            reason = logged(entries, "association rejected")["reason"]
            assert (
                "showed a certificate of CN=pacs, and its certificate_subject is 'CN=ct1, O=Hospital'"
                in reason
            )


@pytest.mark.parametrize("kind", ["tls", "plain"])
def test_silent_callers_delay_nobody_and_are_sent_away_at_the_end(listening, pacs_tls, kind):
    secure, plain, _ = listening()
    port = secure if kind == "tls" else plain
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
    try:
        for connection in sockets:
            connection.sendall(b"\x16" if kind == "tls" else b"\x01")
        # in turn, their 30 s would be the callers' before node_tls
        assert call(port, pacs_tls if kind == "tls" else None).ok
    finally:
        for connection in (*silent, *sockets):
            connection.close()


def test_shutdown_does_not_wait_for_silent_callers(tmp_path, node_tls):
    chosen = Settings(
        node=Node(host="127.0.0.1", port=0, data_dir=tmp_path, acse_timeout_seconds=3600), tls=node_tls
    )
    listener = Listener(
        settings=chosen,
        receiver=Keeper(tmp_path),
        admission=Admission(chosen),
        association_ended=lambda: None,
        refusals=UNCOUNTED,
        calls=UNCOUNTED_CALLS,
    )
    for start, first in ((listener.start_tls, b""), (listener.start_tls, b"\x16"), (listener.start, b"")):
        server = start()
        with socket.create_connection(("127.0.0.1", server.server_address[1])) as silent:
            silent.sendall(first)
            ending = threading.Thread(target=server.shutdown, daemon=True)
            ending.start()
            ending.join(60)
            assert not ending.is_alive()


@pytest.mark.parametrize("kind", ["tls", "plain"])
def test_who_says_nothing_or_half_a_word_is_sent_away(listening, kind):
    secure, plain, _ = listening(seconds=0.2)
    for word in (b"", b"\x16\x03" if kind == "tls" else b"\x01\x00\x00"):
        address = ("127.0.0.1", secure if kind == "tls" else plain)
        with socket.create_connection(address, timeout=30) as caller:
            caller.sendall(word)
            assert caller.recv(1) in {b"", b"\x07"}


@pytest.mark.parametrize("answering", ["scp", "its certificate"])
def test_delivery_goes_over_tls(scp, node_tls, pacs_tls, answering):
    port = scp(pacs_tls)
    bound = {} if answering == "scp" else {"certificate_sha256": fingerprint(pacs_tls)}
    chosen = settings(node_tls, port, **bound)
    association = calling.associate(chosen, chosen.peers[0], contexts.proposed({contexts.VERIFICATION}))
    assert association.is_established
    assert association.send_c_echo().Status == 0
    association.release()


def test_delivery_names_what_is_wrong_with_the_peer(scp, node_tls, pacs_tls, stranger, authority):
    assert "does not speak TLS there" in complaint(node_tls, scp())
    assert "unable to get local issuer certificate" in complaint(node_tls, scp(stranger))
    port = scp(pacs_tls)
    assert "SHA-256 fingerprint" in complaint(node_tls, port, certificate_sha256="0" * 64)
    message = complaint(node_tls, port, certificate_subject="CN=ct1")
    assert "its certificate is that of CN=pacs, not of the certificate_subject" in message
    assert "Hostname mismatch" in complaint(node_tls, port, tls_name="pacs.example.org")
    assert "certificate has expired" in complaint(node_tls, scp(authority.tls("old", days=-1, kind="EC")))


def test_refusal_after_the_handshake_is_told_as_well(scp, stranger, pacs_tls, authority):
    """With TLS 1.3 a server judges the client when the client believes that all is well."""
    message = complaint(stranger, scp(pacs_tls))
    assert re.match(r"PACS at 127\.0\.0\.1:\d+: no TLS: ", message)
    assert "it does not accept our certificate: make our authority known to it" in message


def test_name_in_the_certificate_may_differ_from_the_host_by_configuration(scp, node_tls, authority):
    port = scp(authority.tls("named", hosts=("pacs.example.org",), kind="EC"))
    assert "IP address mismatch" in complaint(node_tls, port)
    for name in ("pacs.example.org", ""):
        chosen = settings(node_tls, port, tls_name=name)
        association = calling.associate(chosen, chosen.peers[0], contexts.proposed({contexts.VERIFICATION}))
        assert association.is_established
        association.release()


def test_renewed_certificate_is_used_at_the_next_call(scp, pacs_tls, authority):
    section = authority.tls("renewed", kind="EC")
    port = scp(pacs_tls)
    section.key.write_text("nothing")
    assert "no PEM certificate and key" in complaint(section, port)
    authority.sign("renewed", kind="EC")
    chosen = settings(section, port)
    association = calling.associate(chosen, chosen.peers[0], contexts.proposed({contexts.VERIFICATION}))
    assert association.is_established
    association.release()


def test_port_answers_with_renewed_files_and_keeps_the_former_where_they_are_of_no_use(
    listening, authority, pacs_tls
):
    section = authority.tls("answering", kind="EC")
    port, _, _ = listening(section=section)
    first = fingerprint(section)
    good = section.key.read_text()
    with capture_logs() as entries:
        assert call(port, pacs_tls, certificate_sha256=first).ok
        section.key.write_text("half of a k")
        assert call(port, pacs_tls, certificate_sha256=first).ok
        assert call(port, pacs_tls, certificate_sha256=first).ok
        section.key.write_text(good)
        assert call(port, pacs_tls, certificate_sha256=first).ok
        authority.sign("answering", kind="EC")
        assert fingerprint(section) != first
        assert call(port, pacs_tls, certificate_sha256=fingerprint(section)).ok
    log_lines = [
        (entry["log_level"], entry.get("reason", ""))
        for entry in entries
        if "files of [tls]" in entry["event"]
    ]
    assert [level for level, _ in log_lines] == ["error", "info", "info"], "each change is told once"
    assert "are no PEM certificate and key" in log_lines[0][1]


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_revoked_certificate_is_refused_as_soon_as_the_list_says_so(listening, authority, pacs_tls, version):
    section = authority.tls("believing", kind="EC").model_copy(
        update={"revocation_lists": authority.revoke()}
    )
    port, _, _ = listening(section=section)
    lost = authority.tls("stolen", kind="EC")
    assert call(port, lost).ok

    def refused():
        with capture_logs() as entries:
            peer = Peer(ae_title="SECONDREAD", host="127.0.0.1", port=port, tls=True)
            caller = tls.caller(lost, peer)
            caller.minimum_version = caller.maximum_version = ssl.TLSVersion[version]
            address = Address(host="127.0.0.1", port=port, calling="PACS", called="SECONDREAD", caller=caller)
            assert not echo(address, seconds=30.0).ok
            return logged(entries, "connection closed: TLS failed")["reason"]

    authority.revoke(lost.certificate)
    assert refused() == "its certificate is not accepted: it is revoked"
    assert call(port, pacs_tls).ok
    authority.revoke(until="20200102000000Z")
    assert "the revocation list of its authority has expired" in refused()


def test_delivery_notices_a_revoked_certificate_and_an_authority_without_a_list(
    scp, node_tls, pacs_tls, authority, tmp_path_factory
):
    section = node_tls.model_copy(update={"revocation_lists": authority.revoke(pacs_tls.certificate)})
    assert complaint(section, scp(pacs_tls)).endswith("its certificate is not accepted: it is revoked")
    other_authority = Authority(tmp_path_factory.mktemp("other"), name="other authority")
    section = section.model_copy(update={"revocation_lists": other_authority.revoke()})
    assert "holds none of the authority that has signed it" in complaint(section, scp(pacs_tls))


def test_files_that_do_not_fit_are_named(node_tls, pacs_tls, tmp_path, authority):
    def message_of(**changed):
        with pytest.raises(tls.FilesError) as caught:
            tls.answerer(node_tls.model_copy(update=changed))
        return str(caught.value)

    missing = tmp_path / "nothing.pem"
    missing.write_text("nothing")
    locked = tmp_path / "locked.key"
    openssl("pkey", "-in", node_tls.key, "-aes256", "-passout", "pass:secret", "-out", locked)
    assert "is not the key of" in message_of(key=pacs_tls.key)
    assert "is not the key of" in message_of(key=authority.sign("other")[1])
    assert "cannot be read (No such file" in message_of(key=tmp_path / "none.key")
    assert "protected by a password" in message_of(key=locked)
    assert "holds no PEM certificate" in message_of(authorities=missing)
    assert "are no PEM certificate and key" in message_of(certificate=missing)
    assert "is empty" in message_of(authorities=None)
