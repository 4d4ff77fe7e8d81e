"""systemd is told; where there is none, nothing happens."""

import configparser
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from scp.process import parent
from tests.support.peers import require

UNIT = Path(__file__).resolve().parents[4] / "docs" / "systemd" / "secondread.service"


def test_who_started_the_node_is_told(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        parent.notify(parent.READY)
        assert receiver.recv(100).startswith(b"READY=1")


@pytest.mark.parametrize("address", ["", "nonsense", "/nowhere/notify"])
def test_nobody_who_asks_is_nobody_told(monkeypatch, address):
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    parent.notify(parent.STOPPING)


def test_the_unit_waits_for_the_notification_and_has_few_rights():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(UNIT)
    assert unit["Service"]["Type"] == "notify"
    assert unit["Service"]["ProtectSystem"] == "strict"


def test_systemd_finds_nothing_to_complain_about(tmp_path):
    analyze = require("systemd-analyze")
    text = UNIT.read_text().replace("/opt/secondread/.venv/bin/python", shutil.which("true"))
    copy = tmp_path / "secondread.service"
    copy.write_text(text)
    checked = subprocess.run([analyze, "verify", copy], capture_output=True, text=True, check=False)
    assert "secondread.service" not in checked.stderr, checked.stderr
    exposed = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=17", copy],
        capture_output=True,
        text=True,
        check=False,
    )
    assert exposed.returncode == 0, f"docs/operating.md says 1.7:\n{exposed.stdout}"
