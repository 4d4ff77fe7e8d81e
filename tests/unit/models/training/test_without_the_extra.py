"""`python -m models.training` where only the node's own libraries are installed, as after `make demo`."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from models.training.__main__ import LIBRARIES

PROJECT = Path(__file__).parents[4]
WITHOUT = """
import runpy, sys
sys.modules.update(dict.fromkeys(sys.argv.pop(1).split(",")))  # importing them fails from now on
runpy.run_module("models.training", run_name="__main__")
"""


@pytest.mark.parametrize("absent", [list(LIBRARIES), ["sklearn"]])
def test_one_sentence_says_what_to_install(absent):
    answer = subprocess.run(
        [sys.executable, "-c", WITHOUT, ",".join(absent), "--help"],
        capture_output=True, text=True, check=False, cwd=PROJECT,
    )  # fmt: skip
    named = ", ".join(LIBRARIES[package] for package in absent)
    assert answer.returncode == 2
    assert answer.stderr == (
        f"error: training needs {named}: install the extra with pip install 'secondread[train]', "
        "or run `make train-env` in a checkout\n"
    )
    assert not answer.stdout


def test_the_sentence_knows_every_library_of_the_extra():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    extra = project["project"]["optional-dependencies"]["train"]
    assert sorted(LIBRARIES.values()) == sorted(re.split(r"[<>=]", line)[0] for line in extra)


def test_the_target_that_the_sentence_names_installs_the_pinned_extra():
    planned = subprocess.run(
        ["make", "--dry-run", "--always-make", "train-env"],
        capture_output=True,
        text=True,
        check=True,
        cwd=PROJECT,
    ).stdout
    assert "--require-hashes --requirement requirements/dev.txt" in planned
    pinned = (PROJECT / "requirements" / "dev.txt").read_text(encoding="utf-8")
    assert all(f"\n{name}==" in f"\n{pinned}" for name in LIBRARIES.values())
