"""What DCMTK reads in results for patients with names in the character sets of the world."""

import subprocess

import pytest

from tests.support.character_sets import STANDARD, results_of
from tests.support.dcmtk import dcmtk

CASES = {name: case for name, case in STANDARD.items() if "PS3.5" in name or name in {"Greek", "Latin-9"}}
NOT_CHECKED = b"W: The VR checker does not support this Specific Character Set: ISO_IR 192"
"""DCMTK 3.6.7 dumps UTF-8 and does not check it."""


@pytest.fixture(scope="module")
def dumped(tmp_path_factory):
    """Return by case what dcmdump says of its report and heatmap, and dsrdump of the report, in UTF-8."""
    answers = {}
    for number, (name, case) in enumerate(CASES.items()):
        folder = tmp_path_factory.mktemp(f"case{number}")
        files = results_of(case, folder)
        report = next(path for path in files if path.stem == "SR")
        commands = [[dcmtk("dcmdump"), "+U8", str(path)] for path in files]
        commands.append([dcmtk("dsrdump"), "+U8", str(report)])
        answers[name] = [
            subprocess.run(command, capture_output=True, check=True, timeout=60) for command in commands
        ]
    return answers


def test_dcmtk_reads_every_name_and_complains_about_none(dumped):
    for name, case in CASES.items():
        for answer in dumped[name]:
            assert not set(answer.stderr.splitlines()) - {NOT_CHECKED}, name
            text = answer.stdout.decode("utf-8", errors="strict")
            assert case.name.rstrip("=") in text, name
            assert "\ufffd" not in text, name
