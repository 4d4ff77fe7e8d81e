"""Known vulnerabilities fail the check; not having been able to ask does not, and is never called success."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.support import dependency_audit

ROOT = Path(__file__).resolve().parents[2]
FILE = "run.txt"
SOUND = {"name": "good", "version": "1", "vulns": []}
SKIPPED = {"name": "unknown", "skip_reason": "Dependency not found"}
BAD = {"name": "bad", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}


def judged(*dependencies):
    process = subprocess.CompletedProcess([], 0, json.dumps({"dependencies": dependencies, "fixes": []}), "")
    return dependency_audit.judge(FILE, process)


def test_known_vulnerability_is_named_with_its_mend():
    verdict = judged(SOUND, BAD)
    assert verdict.vulnerable
    assert "VULNERABLE: bad 1 has PYSEC-1: take 1.1" in verdict.sentences


def test_sound_packages_are_counted():
    verdict = judged(SOUND)
    assert not verdict.vulnerable
    assert verdict.sentences == ("run.txt: 1 packages audited, 0 known vulnerabilities",)


def test_package_that_was_not_looked_up_is_named():
    assert "NOT AUDITED: run.txt: unknown" in judged(SOUND, SKIPPED).sentences


def test_index_that_knows_nothing_is_no_success():
    """pip-audit itself says "No known vulnerabilities found" then, and ends with 0."""
    assert judged(SKIPPED).sentences == ("NOT AUDITED: run.txt: the service knows none of 1 packages",)


def test_service_that_does_not_answer_is_no_success():
    process = subprocess.CompletedProcess([], 1, "", "Traceback\nConnectionError: name not known")
    (sentence,) = dependency_audit.judge(FILE, process).sentences
    assert sentence.startswith("NOT AUDITED: run.txt: service unreachable (ConnectionError")


def test_program_that_is_not_there_is_no_success(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_AUDIT", str(tmp_path / "nothing"))
    assert dependency_audit.main([FILE]) == 0
    assert "NOT AUDITED" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["run.txt", "dev.txt", "audit.txt"])
def test_every_requirement_is_pinned_with_its_hash(name):
    """What is installed is what was locked, whatever an index says later."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert lines
    loose = [
        line.split()[0]
        for line in lines
        if not re.match(r"[\w.\[\]-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)
    ]
    assert loose == []


def test_requirements_are_installed_by_their_hashes_alone():
    installs = [
        line
        for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
        if "--requirement" in line
    ]
    assert [line for line in installs if "pip install" in line and "--require-hashes" not in line] == []
