import pickle
import tomllib
from pathlib import Path

import pytest

from inference.reading.options import ReadingOptions
from scp.configuration import settings as config
from scp.configuration.errors import ConfigError
from scp.configuration.sections import Peer
from scp.configuration.settings import Settings

ROOT = Path(__file__).resolve().parents[4]


def peer(name, **more):
    return "\n".join(
        ["[[peers]]", f'ae_title = "{name}"', *(f"{key} = {value}" for key, value in more.items()), ""]
    )


def load(tmp_path, text, **environ):
    path = tmp_path / "node.toml"
    path.write_text(text, encoding="utf-8")
    return config.load(path, environ)


def complaint(tmp_path, text, **environ):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, **environ)
    return str(caught.value)


def test_empty_file_gives_the_defaults(tmp_path):
    settings = load(tmp_path, "")
    assert settings.node.ae_title == "SECONDREAD"
    assert settings.node.port == 11112
    assert settings.study.quiet_seconds == 180
    assert settings.peers == ()


def test_shipped_file_holds_every_default_and_nothing_else():
    shipped = config.load(ROOT / "config.toml", {})
    document = tomllib.loads((ROOT / "config.toml").read_text(encoding="utf-8"))
    for name, field in Settings.model_fields.items():
        if name != "peers":
            assert set(document[name]) == set(field.annotation.model_fields), name
    assert shipped.model_copy(update={"node": Settings().node}) == Settings()
    assert shipped.node.data_dir == ROOT / "var"


def test_peers_in_the_comments_of_the_shipped_file_are_valid(tmp_path):
    text = (ROOT / "config.toml").read_text(encoding="utf-8")
    lines = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ")]
    peers = "\n".join(
        line for line in lines if line.startswith(("[[peers]]", "ae_title", "addresses", "host"))
    )
    rest = "\n".join(line for line in lines if line.startswith(("port", "results_to")))
    assert len(tomllib.loads(peers)["peers"]) == 3
    assert set(tomllib.loads(rest)) == {"port", "results_to"}


def test_settings_are_frozen_and_can_be_sent_to_another_process(tmp_path):
    settings = load(tmp_path, '[[peers]]\nae_title = "PACS"\nhost = "pacs"\nport = 104')
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301 - our own bytes
    with pytest.raises(ValueError, match="frozen"):
        settings.node.port = 1


def test_relative_paths_are_relative_to_the_file(tmp_path):
    settings = load(tmp_path, '[node]\ndata_dir = "./data"\n[model]\nname = "./mine"')
    assert settings.node.data_dir == tmp_path / "data"
    assert settings.model.name == str(tmp_path / "mine")
    assert load(tmp_path, "").node.data_dir == tmp_path / "var"
    assert load(tmp_path, '[model]\nname = "document-cnn-1.2.0"').model.name == "document-cnn-1.2.0"


def test_whole_numbers_do_for_seconds(tmp_path):
    assert load(tmp_path, "[study]\nquiet_seconds = 5").study.quiet_seconds == 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[node]\nport = 70000", ["node.port = 70000", "at most 65535"]),
        ('[node]\nport = "104"', ['node.port = "104"', "a whole number"]),
        ("[node]\nport = true", ["node.port = true", "a whole number"]),
        ("[node]\nprot = 104", ["node.prot is unknown", "did you mean port?", "; take it out if"]),
        ("[nodes]\nport = 104", ["nodes is unknown", "did you mean node?", "; take it out if"]),
        ("node = 3", ["node = 3", "a section"]),
        ('[node]\ndata_dir = ""', ["node.data_dir", 'write "."']),
        ("[node]\ndata_dir = 3", ["node.data_dir = 3", "allowed"]),
        ("[study]\nquiet_seconds = 0", ["study.quiet_seconds = 0", "more than 0"]),
        ("[study]\nquiet_seconds = nan", ["study.quiet_seconds = NaN", "a finite number"]),
        ("[study]\nquiet_seconds = 2026-01-01", ['study.quiet_seconds = "2026-01-01"', "a number"]),
        ('[outputs]\nsr_class = "basic"', ["outputs.sr_class", "'comprehensive' or 'comprehensive3d'"]),
        ("[outputs]\nnotice = 1", ["outputs.notice = 1", "true or false"]),
        ('[node]\nae_title = "SEVENTEENLETTERSX"', ["node.ae_title", "1 to 16 printable ASCII"]),
        ('[node]\nae_title = "A\\\\B"', ["node.ae_title", "no backslash"]),
        ('[node]\nae_title = " A"', ["node.ae_title", "no space at either end"]),
        ('[node]\nburned_in = "maybe"', ["node.burned_in", "'refuse' or 'analyse'"]),
        ('[node]\ncharacter_set = "no such"', ["node.character_set", "ISO_IR 144"]),
        ('[node]\ncharacter_set = "utf-16"', ["node.character_set", "ISO_IR 144"]),
        ("peers = 4", ["peers = 4", "a list"]),
        ("[peers]\nx = 1", ["peers", "a list"]),
        ("[[peers]]\nport = 104", ["peers[1].ae_title is missing"]),
        (
            '[[peers]]\nae_title = "A"\nresults_to = []\n[[peers]]\nae_title = "B"\nhost = ""',
            ["peers[2].host ('B') = \"\"", "may not be empty"],
        ),
        (
            '[[peers]]\nae_title = "A"\naddresses = ["10.0.0.1", "10.0.0.5/24"]',
            ["peers[1].addresses[2] ('A') = \"10.0.0.5/24\"", "has host bits set"],
        ),
        (
            '[model]\nflag = "best"',
            ['model.flag = "best"', "'specificity-90' or 'sensitivity-90'", "a score"],
        ),
        ("[model]\nflag = 1.5", ["model.flag = 1.5", "above 0 and up to 1"]),
        ("[model]\nflag = true", ["model.flag = true", "a score"]),
        ("[model.shares]\nnormal = 0.5", ["model.shares.benign is missing"]),
        ("[model.shares]\nnormel = 0.5", ["model.shares.normel is unknown", "did you mean normal?"]),
        (
            "[model.shares]\nnormal = 0.5\nbenign = 0.1\nbenign_without_callback = 0.1\nmalignant = 0.1",
            ["must add up to 1, these to 0.8"],
        ),
        ("[tls]\nrevocation_lists = 'a.pem'", ["tls.revocation_lists without certificate"]),
        ("[tls]\ncertificate = 'a.pem'", ["tls.key and tls.authorities missing", "go together"]),
        ("[tls]\nonly = true", ["tls.only = true", "leaves no port"]),
        ("[tls]\nclient_certificate = 'never'", ["tls.client_certificate", "'required' or 'optional'"]),
        ("[tls]\nkey = 3", ["tls.key = 3", "text in quotes"]),
        (peer("A", results_to="[]", tls="true"), ["peers[1] ('A') has tls = true", "[tls] certificate"]),
        (peer("A", results_to="[]", tls_name='"a"'), ["peers[1] ('A')", "which nobody checks without tls"]),
        (
            peer("A", results_to="[]", certificate_sha256='"AB:CD"'),
            ["peers[1].certificate_sha256 ('A') = \"AB:CD\"", "64 hexadecimal digits"],
        ),
        ("[worker]\nbatch = 20", ["worker.batch = 20", "job_memory_mb must be 4200 at least"]),
        (
            "[delivery]\nfirst_retry_seconds = 60\nlongest_retry_seconds = 30",
            ["delivery.longest_retry_seconds = 30", "at least first_retry_seconds (60)"],
        ),
    ],
)
def test_every_mistake_names_file_key_value_and_what_is_allowed(tmp_path, text, words):
    message = complaint(tmp_path, text)
    assert message.startswith(str(tmp_path / "node.toml"))
    for word in words:
        assert word in message


def test_all_mistakes_are_told_at_once(tmp_path):
    message = complaint(tmp_path, "[node]\nport = 70000\nmax_pdu = 1\n[log]\nlevel = 'LOUD'")
    assert len(message.splitlines()) == 3


def test_error_in_toml_names_line_and_column(tmp_path):
    message = complaint(tmp_path, "[node]\nport = \n")
    assert "line 2, column 8" in message


def test_missing_directory_and_wrongly_encoded_files_are_told_in_a_sentence(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        config.load(tmp_path / "none.toml", {})
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(tmp_path, {})
    path = tmp_path / "latin.toml"
    path.write_bytes(b"[node]\n# M\xfcnchen\n")
    with pytest.raises(ConfigError, match=r"not UTF-8 text \(line 2\)"):
        config.load(path, {})


@pytest.mark.parametrize("package", ["scp", "inference", "storage", "models"])
def test_data_may_not_lie_inside_the_program(tmp_path, package):
    message = complaint(tmp_path, f'[node]\ndata_dir = "{ROOT / package / "data"}"')
    assert "node.data_dir" in message
    assert "inside the program" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (peer("A", results_to="[]") + peer("A", results_to="[]"), ["peers[2].ae_title", "'A'", "twice"]),
        (peer("A", host='"a"'), ["peers[1].port is missing", "host and port go together"]),
        (peer("A", port=104), ["peers[1].host is missing"]),
        (peer("A", results_to='["B"]'), ["peers[1].results_to = 'B'", "no ae_title of any [[peers]]"]),
        (peer("A"), ["'A'", "host and port", "results_to"]),
        (
            peer("A", results_to='["B"]') + peer("B", results_to="[]"),
            ["peers[1].results_to = 'B' cannot be sent to"],
        ),
    ],
)
def test_peers_that_do_not_agree_are_refused(tmp_path, text, words):
    message = complaint(tmp_path, text)
    for word in words:
        assert word in message


def test_results_go_to_the_sender_unless_something_else_is_said(tmp_path):
    pacs = peer("PACS", host='"pacs"', port=104)
    settings = load(tmp_path, pacs + peer("MOD", results_to='["PACS"]') + peer("DEAF", results_to="[]"))
    assert settings.destinations("PACS") == ("PACS",)
    assert settings.destinations("MOD") == ("PACS",)
    assert settings.destinations("DEAF") == ()
    assert settings.destinations("STRANGER") == ()
    assert settings.peer("STRANGER") is None
    assert settings.peer("MOD").results_to == ("PACS",)


def test_environment_overrides_the_file(tmp_path):
    settings = load(
        tmp_path,
        "[node]\nport = 104\nae_title = 'FILE'",
        SECONDREAD_NODE__AE_TITLE="123",
        SECONDREAD_NODE__PORT="2000",
        SECONDREAD_OUTPUTS__NOTICE="false",
        SECONDREAD_NODE__DATA_DIR="elsewhere",
        SECONDREAD_STUDY__QUIET_SECONDS="2.5",
    )
    assert settings.node.ae_title == "123"
    assert settings.node.port == 2000
    assert settings.outputs.notice is False
    assert settings.node.data_dir == tmp_path / "elsewhere"
    assert settings.study.quiet_seconds == 2.5


def test_the_flag_is_a_point_or_a_score(tmp_path):
    assert Settings().model.flag == "specificity-90"
    assert load(tmp_path, "[model]\nflag = 0.43").model.flag == 0.43
    assert load(tmp_path, "[model]\nflag = 1").model.flag == 1.0
    assert load(tmp_path, "", SECONDREAD_MODEL__FLAG="0.5").model.flag == 0.5


def test_shares_are_given_or_not(tmp_path):
    assert load(tmp_path, "[model]\nshares = {}").model.shares is None
    shares = "normal = 0.8, benign = 0.05, benign_without_callback = 0.145, malignant = 0.005"
    loaded_shares = load(tmp_path, f"[model]\nshares = {{ {shares} }}").model.shares
    assert loaded_shares.in_order() == (0.8, 0.05, 0.145, 0.005)


def test_wrong_value_in_the_environment_names_the_variable(tmp_path):
    message = complaint(tmp_path, "", SECONDREAD_NODE__PORT="many")
    assert 'node.port = "many" (from environment variable SECONDREAD_NODE__PORT)' in message


@pytest.mark.parametrize(
    "name", ["SECONDREAD_NODES__PORT", "SECONDREAD_NODE__PROT", "SECONDREAD_PEERS__PORT"]
)
def test_unknown_override_is_refused(tmp_path, name):
    assert f"{name} names no key" in complaint(tmp_path, "", **{name: "1"})


def test_variables_of_others_are_left_alone(tmp_path):
    load(tmp_path, "", SECONDREAD_PORT="tcp://10.0.0.1:11112", SECONDREAD_REQUIRE_PEERS="1", OTHER__KEY="x")


@pytest.mark.parametrize("address", ["10.1.2.3", "2001:db8::1"])
def test_lines_that_admit_a_stranger_do(tmp_path, address):
    settings = load(tmp_path, config.admission_lines('A "B', address))
    assert settings.peers == (Peer(ae_title='A "B', addresses=(address,), host=address, port=104),)
    assert settings.destinations('A "B') == ('A "B',)


def test_files_of_tls_are_relative_to_the_configuration_and_fingerprints_are_written_in_any_way(tmp_path):
    tls = "[tls]\ncertificate = 'a.pem'\nkey = '/etc/key.pem'\nauthorities = 'ca/all.pem'\n"
    tls += "revocation_lists = 'crl.pem'\n"
    fingerprint = ":".join(["AB"] * 32)
    settings = load(
        tmp_path, tls + peer("A", results_to="[]", tls="true", certificate_sha256=f'"{fingerprint}"')
    )
    assert settings.tls.certificate == tmp_path / "a.pem"
    assert settings.tls.key == Path("/etc/key.pem")
    assert settings.tls.authorities == tmp_path / "ca" / "all.pem"
    assert settings.tls.revocation_lists == tmp_path / "crl.pem"
    assert settings.tls.on
    assert settings.peers[0].certificate_sha256 == "ab" * 32


def test_lines_that_admit_a_stranger_with_tls_bind_it_to_its_certificate(tmp_path):
    tls = "[tls]\ncertificate = 'a.pem'\nkey = 'a.key'\nauthorities = 'ca.pem'\n"
    lines = config.admission_lines("PACS", "10.1.2.3", certificate="ab" * 32)
    (admitted,) = load(tmp_path, tls + lines).peers
    assert (admitted.tls, admitted.certificate_sha256) == (True, "ab" * 32)


def test_options_are_those_of_the_outputs(tmp_path):
    options = load(tmp_path, '[outputs]\nsc_modality = "MG"\nsc_max_side = 1024').outputs.options()
    assert (options.sc_modality, options.sc_max_side, options.sr_class) == ("MG", 1024, "comprehensive")


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("", ""),
        ("ISO_IR 144", "iso8859-5"),
        ("cp1251", "cp1251"),
        ("windows-1251", "cp1251"),
        ("GB18030", "gb18030"),
    ],
)
def test_a_character_set_is_named_as_dicom_or_as_python_does(tmp_path, written, name):
    settings = load(tmp_path, f'[node]\ncharacter_set = "{written}"\nburned_in = "analyse"')
    assert settings.node.reading() == ReadingOptions(burned_in="analyse", character_set=name)
