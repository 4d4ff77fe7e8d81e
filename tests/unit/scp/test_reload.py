"""A configuration that is read again is in force as a whole or not at all, and says what needs a restart."""

import os

import pytest
from structlog.testing import capture_logs

from scp.configuration.settings import Settings, load
from scp.receiving.admission import Admission, Request
from scp.reload import Reloader
from storage.errors import DatabaseError

PACS = '[[peers]]\nae_title = "PACS"\nhost = "192.0.2.7"\nport = 104\n'
CT = '[[peers]]\nae_title = "CT"\nresults_to = ["PACS"]\n'
CALL = Request(calling_ae="CT", called_ae="SECONDREAD", address="192.0.2.9")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(PACS)
    return path


@pytest.fixture
def settings(file):
    return load(file, os.environ)


def read_again(settings, file, text, *followers):
    file.write_text(text)
    with capture_logs() as log:
        outcome = Reloader(settings, file, followers).reload()
    return outcome, log


def test_new_peers_are_in_force_for_whoever_holds_the_settings(settings, file):
    admission, destinations = Admission(settings), settings.destinations
    assert admission.decide(CALL).rejection is not None
    calls = []
    text = f"{CT}{PACS}[delivery]\nfirst_retry_seconds = 7\n[retention]\ndays = 3\n"
    outcome, log = read_again(settings, file, text, lambda: calls.append(settings.retention.days))
    assert outcome
    assert admission.decide(CALL).rejection is None
    assert destinations("CT") == ("PACS",)
    assert calls == [3]
    assert log == [
        {
            "event": "configuration reloaded",
            "log_level": "info",
            "changed": ["peers", "delivery", "retention"],
            "peers": 2,
        }
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{PACS}{CT.replace('PACS', 'ELSEWHERE')}", "'ELSEWHERE' is no ae_title of any"),
        (f"{PACS}[study]\nquiet_seconds = 0\n", "study.quiet_seconds = 0 cannot be used"),
        ("[[peers]\n", "is not valid TOML"),
        # good as a whole, but what it rests on would need a restart
        (
            '[tls]\ncertificate = "c.pem"\nkey = "k.pem"\nauthorities = "a.pem"\n' + PACS + "tls = true\n",
            "has tls = true: give [tls] certificate, key and authorities, or set it",
        ),
    ],
)
def test_a_file_that_is_of_no_use_changes_nothing(settings, file, text, words):
    before = settings.model_copy()
    outcome, (line,) = read_again(settings, file, text, pytest.fail)
    assert not outcome
    assert settings == before
    assert line["log_level"] == "error"
    assert words in line["reason"]


def test_what_only_a_restart_changes_is_named_and_stays(settings, file):
    text = f"{PACS}{CT}[node]\nport = 104\n[model]\nflag = 0.5\n[console]\nport = 1\n"
    outcome, log = read_again(settings, file, text)
    assert outcome
    assert settings.node.port == 11112
    assert settings.peer("CT") is not None
    assert log[-1]["keys"] == ["node.port", "model.flag", "console.port"]


def test_a_follower_that_cannot_follow_now_stops_no_other(settings, file):
    def fail():
        raise DatabaseError("locked")

    calls = []
    outcome, log = read_again(settings, file, PACS, fail, lambda: calls.append(1))
    assert outcome
    assert calls == [1]
    assert log[0]["event"] == "the reload is not whole, repeat it later"


def test_settings_go_to_another_process_as_json(tmp_path):
    file = tmp_path / "config.toml"
    extra = (
        "[model]\nshares = { normal = 0.7, benign = 0.1, benign_without_callback = 0.1, malignant = 0.1 }\n"
    )
    alerts = '[alerts]\nmail_to = ["a@b.example"]\nmail_host = "m"\nmail_login = "env:X"\n'
    file.write_text(f'{PACS}certificate_sha256 = "{"ab" * 32}"\ntls = true\n{extra}{alerts}')
    file.write_text(file.read_text() + '[tls]\ncertificate = "c"\nkey = "k"\nauthorities = "a"\n')
    settings = load(file, {})
    assert Settings.model_validate_json(settings.model_dump_json()) == settings
