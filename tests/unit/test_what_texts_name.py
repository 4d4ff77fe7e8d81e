"""Modules, files and folders that docstrings and documents name in backticks are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = "scp|inference|storage|models|tests|bench"
MODULE = re.compile(rf"`((?:{PACKAGES})(?:\.\w+)+)`")
PLACE = re.compile(rf"`((?:{PACKAGES}|docs)/[\w./-]+)`")
TEXTS = sorted(
    path
    for pattern in ("*.md", "docs/*.md", *(f"{package}/**/*.py" for package in PACKAGES.split("|")))
    for path in ROOT.glob(pattern)
    if path.name != "CHANGELOG.md"
)


def exists(module):
    """Whether ``module`` is a module, or a name that its module or package mentions."""
    parts = module.split(".")
    for number in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:number])
        source = place.with_suffix(".py") if place.with_suffix(".py").exists() else place / "__init__.py"
        if source.exists():
            name = parts[number] if number < len(parts) else ""
            return name in source.read_text(encoding="utf-8")
    return False


@pytest.mark.parametrize("pattern", [MODULE, PLACE])
def test_there_are_names_to_look_up(pattern):
    assert sum(len(pattern.findall(path.read_text(encoding="utf-8"))) for path in TEXTS) > 20


def test_modules_that_are_named_exist():
    named = {(path.name, module) for path in TEXTS for module in MODULE.findall(path.read_text("utf-8"))}
    assert sorted(pair for pair in named if not exists(pair[1])) == []


def test_places_that_are_named_exist():
    named = {(path.name, place) for path in TEXTS for place in PLACE.findall(path.read_text("utf-8"))}
    assert {pair for pair in named if not (ROOT / pair[1]).exists()} == set()
