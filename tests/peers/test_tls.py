"""DCMTK's and OpenSSL's own programs over TLS: storescu → node → storescp, and who is not let in."""

import subprocess
from collections import Counter

import pydicom
import pytest
from pydicom.uid import ComprehensiveSRStorage

from scp.configuration.sections import Peer
from scp.configuration.settings import Settings
from scp.network import association, contexts
from scp.network.association import Unreachable
from tests.support.authority import Authority
from tests.support.dcmtk import dcmtk
from tests.support.mammograms import standard_views, write
from tests.support.node_process import WHOLE, NodeProcess, peer
from tests.support.peers import free_port, require
from tests.support.storescp import storescp


@pytest.fixture(scope="module")
def pacs(authority):
    return authority.sign("pacs")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("other"))


def with_tls(pair, authority):
    """DCMTK's options for TLS with the certificate and key in ``pair``."""
    certificate, key = map(str, pair)
    return ["+tls", key, certificate, "+cf", str(authority.pem), "-pw"]


def section(pair, authority, port):
    certificate, key = pair
    files = {
        "certificate": certificate,
        "key": key,
        "authorities": authority.pem,
        "revocation_lists": authority.revoke(),
    }
    return "\n".join(["[tls]", f"port = {port}", *(f'{name} = "{file}"' for name, file in files.items()), ""])


def echo(port, *options, called="SECONDREAD"):
    command = [dcmtk("echoscu"), "-v", *options, "-aet", "DCMTK", "-aec", called, "127.0.0.1", str(port)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def archive(tmp_path, pacs, authority):
    """Speaks TLS alone and wants a certificate of ours."""
    with storescp(tmp_path / "archive", *with_tls(pacs, authority)) as server:
        yield server


@pytest.mark.timeout(420)
def test_study_goes_both_ways_over_tls_and_nobody_else_gets_in(tmp_path, authority, stranger, pacs, archive):
    port = free_port()
    paths = [write(image, tmp_path / f"{number}.dcm") for number, image in enumerate(standard_views(), 1)]
    node = NodeProcess(
        tmp_path,
        quiet_seconds=WHOLE,
        peers=peer("DCMTK", archive.port, tls="true"),
        extra=section(authority.sign("node"), authority, port),
    )
    with node:
        node.lines.wait_for("node listening")
        assert echo(port, *with_tls(pacs, authority)).returncode == 0
        refusals(node, port, authority, stranger, pacs)
        renewals(node, port, authority, pacs)
        command = [dcmtk("storescu"), *with_tls(pacs, authority), "-aet", "DCMTK", "-aec", "SECONDREAD"]
        subprocess.run([*command, "127.0.0.1", str(port), *map(str, paths)], check=True, timeout=60)
        came = archive.wait_for(6, seconds=240)
        assert node.stop() == 0
    assert "Traceback" not in node.log.read_text()
    objects = [pydicom.dcmread(path) for path in came]
    assert Counter(instance.Modality for instance in objects) == {"OT": 5, "SR": 1}


def refusals(node, port, authority, stranger, pacs):
    """Call in every wrong way; the log has a sentence for each."""
    assert echo(port).returncode != 0
    assert echo(node.port, *with_tls(pacs, authority)).returncode != 0
    assert echo(node.port).returncode != 0
    assert echo(port, *with_tls(stranger.sign("stranger"), authority)).returncode != 0
    assert echo(port, "+tla", "+cf", str(authority.pem)).returncode != 0
    # the other way round: it does not believe us, and says so
    assert echo(port, *with_tls(pacs, stranger)).returncode != 0
    old = ["-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"]
    assert handshake(port, pacs, *old).returncode != 0
    assert handshake(port, pacs, "-tls1_2", "-cipher", "AES128-SHA256").returncode != 0
    assert handshake(port, pacs, "-tls1_3").returncode == 0
    for sentence in (
        "no TLS at the port with TLS",
        "TLS at the port without TLS",
        "called without TLS, and it has tls = true",
        "its certificate is not accepted: unable to get local issuer certificate",
        "it showed no certificate",
        "it does not accept our certificate",
        "it offers nothing newer than TLS 1.1",
        "it offers none of the cipher suites of PS3.15 B.12",
    ):
        node.lines.wait_for(sentence)


def renewals(node, port, authority, pacs):
    """Revoke a certificate and renew the node's own: both count at the next connection, without a restart."""
    stolen = authority.sign("stolen")
    assert echo(port, *with_tls(stolen, authority)).returncode == 0
    authority.revoke(stolen[0])
    assert echo(port, *with_tls(stolen, authority)).returncode != 0
    node.lines.wait_for("its certificate is not accepted: it is revoked")
    before = presented(port, pacs)
    authority.sign("node")
    assert echo(port, *with_tls(pacs, authority)).returncode == 0
    assert presented(port, pacs) != before


def presented(port, pair):
    """The certificate that the node shows, as openssl prints it."""
    output = handshake(port, pair).stdout.decode()
    return output[output.index("-----BEGIN") : output.index("-----END")]


def handshake(port, pair, *options):
    certificate, key = map(str, pair)
    command = [
        require("openssl"),
        "s_client",
        "-connect",
        f"127.0.0.1:{port}",
        "-cert",
        certificate,
        "-key",
        key,
    ]
    return subprocess.run(
        [*command, *options], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60
    )


def test_archive_that_does_not_believe_us_is_named(authority, stranger, archive):
    """The node's own certificate is from an authority that the archive does not know."""
    settings = Settings(
        tls=stranger.tls("node", authorities=authority.pem),
        peers=(Peer(ae_title="DCMTK", host="127.0.0.1", port=archive.port, tls=True),),
    )
    with pytest.raises(
        Unreachable, match="it does not accept our certificate: make our authority known to it"
    ):
        association.associate(settings, settings.peers[0], contexts.proposed({ComprehensiveSRStorage}))
