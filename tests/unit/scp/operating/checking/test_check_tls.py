from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from scp.configuration.sections import Model, Node, Peer
from scp.configuration.settings import Settings
from scp.configuration.tls import TLS
from scp.operating.checking import command, tls_files
from scp.operating.checking.outcomes import Outcome
from tests.support import model_folder
from tests.support.authority import Authority
from tests.support.peers import free_port
from tests.support.running_node import listener, lock_held


@pytest.fixture(scope="module")
def section(authority):
    return authority.tls("node", kind="EC")


def look(section, *, later=timedelta(0)):
    results = tls_files.files(section, datetime.now(UTC) + later)
    return {entry.subject: (entry.outcome, entry.words) for entry in results}


def test_without_tls_there_is_nothing_to_see():
    assert look(TLS()) == {}


def test_good_files_pass_and_the_end_of_their_validity_is_shown(section):
    outcomes = look(section)
    assert {outcome for outcome, _ in outcomes.values()} == {Outcome.OK}
    assert "this node's certificate is valid until 20" in outcomes["tls certificate"][1]
    assert "'test authority'" in outcomes["tls authority"][1]


def test_end_of_validity_is_announced_a_month_before(section):
    outcomes = look(section, later=timedelta(days=340))
    assert outcomes["tls certificate"][0] is Outcome.NOTE
    assert "expires in 24 days" in outcomes["tls certificate"][1]
    assert outcomes["tls authority"][0] is Outcome.NOTE
    outcomes = look(section, later=timedelta(days=366))
    assert outcomes["tls authority"][0] is Outcome.FAILED
    assert "has expired on" in outcomes["tls certificate"][1]


def test_expired_certificate_fails(authority):
    outcome, words = look(authority.tls("old", kind="EC", days=-1))["tls certificate"]
    assert outcome is Outcome.FAILED
    assert "certificate has expired" in words


def test_key_that_others_can_read_fails(authority):
    section = authority.tls("open", kind="EC")
    section.key.chmod(0o640)
    outcome, words = look(section)["tls key"]
    assert outcome is Outcome.FAILED
    assert f"mode 0640, others can read or change it: chmod 600 {section.key}" in words


def test_key_of_another_certificate_fails(section, authority):
    other_files = authority.tls("other", kind="EC")
    outcome, words = look(section.model_copy(update={"key": other_files.key}))["tls certificate"]
    assert outcome is Outcome.FAILED
    assert "is not the key of" in words


def test_revocation_lists_are_tried_on_the_certificate_of_the_node(section, authority, tmp_path_factory):
    def words_of(signed, lists):
        return look(signed.model_copy(update={"revocation_lists": lists}))["tls revocation lists"]

    assert words_of(section, authority.revoke()) == (
        Outcome.OK,
        f"{authority.folder / 'revoked.pem'}: in force",
    )
    outcome, words = words_of(section, authority.revoke(until="20200102000000Z"))
    assert outcome is Outcome.FAILED
    assert "the revocation list of its authority has expired" in words
    outcome, words = words_of(section, authority.revoke(section.certificate))
    assert (outcome, words.endswith("it is revoked")) == (Outcome.FAILED, True)
    other_authority = Authority(tmp_path_factory.mktemp("other"), name="other authority")
    assert (
        words_of(other_authority.tls("node", authorities=authority.pem), authority.revoke())[0] is Outcome.OK
    )


def test_file_without_revocation_list_fails(section):
    outcome, words = look(section.model_copy(update={"revocation_lists": section.authorities}))[
        "tls certificate"
    ]
    assert outcome is Outcome.FAILED
    assert "holds no PEM certificate revocation list" in words


def test_check_beside_a_living_node_leaves_nothing_in_its_log(section, tmp_path, tmp_path_factory):
    (tmp_path / "data").mkdir()
    settings = Settings(
        node=Node(data_dir=tmp_path / "data", host="127.0.0.1", disk_reserve_mb=1),
        tls=section.model_copy(update={"port": free_port(), "only": True}),
        model=Model(name=str(model_folder.make(tmp_path_factory.mktemp("model")))),
    )
    server = listener(settings).start_tls()
    with capture_logs() as entries, lock_held(tmp_path / "data"):
        checks = {item.subject: item for item in command.all_checks(settings, tmp_path / "config.toml")}
        server.shutdown()
    assert checks[f"tls port {settings.tls.port}"].outcome is Outcome.OK
    assert entries == []


def test_ports_and_peers_are_looked_at_with_tls(section, tmp_path, tmp_path_factory):
    """The port of a stopped node must be free, a running one must listen there; the peer is not there."""
    (tmp_path / "data").mkdir()
    port = free_port()
    settings = Settings(
        node=Node(data_dir=tmp_path / "data", host="127.0.0.1", disk_reserve_mb=1),
        tls=section.model_copy(update={"port": port, "only": True}),
        peers=(Peer(ae_title="PACS", host="127.0.0.1", port=free_port(), tls=True),),
        model=Model(name=str(model_folder.make(tmp_path_factory.mktemp("model")))),
    )

    def subjects():
        return {item.subject: item for item in command.all_checks(settings, tmp_path / "config.toml")}

    checks = subjects()
    assert "port 11112" not in checks
    assert checks[f"tls port {port}"].outcome is Outcome.OK
    assert "nothing listens" in checks["peer PACS"].words
    with lock_held(tmp_path / "data"):
        assert subjects()[f"tls port {port}"].outcome is Outcome.FAILED
