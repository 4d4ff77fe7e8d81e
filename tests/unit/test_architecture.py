"""The page about the architecture: what it names is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PLACES = sorted(set(re.findall(r"`((?:scp|inference|storage|models|tests)/[\w/]+(?:\.py|/))`", PAGE)))
MODULES = sorted(set(re.findall(r"(?<![\w.])((?:scp|inference|storage)(?:\.[a-z_]+)+)", PAGE)))


def test_the_page_names_places_and_modules():
    assert len(PLACES) >= 20
    assert len(MODULES) >= 10


@pytest.mark.parametrize("place", PLACES)
def test_every_place_exists(place):
    assert (ROOT / place).exists()


@pytest.mark.parametrize("module", MODULES)
def test_every_module_exists(module):
    path = ROOT.joinpath(*module.split("."))
    assert path.with_suffix(".py").exists() or path.is_dir()
