"""A shipped model without its input gate, for which the tests' drawn breasts are no mammograms."""

from __future__ import annotations

import shutil
from pathlib import Path

from inference.network import manifest


def copy(name: str, folder: Path) -> Path:
    """Copy the shipped model ``name`` into ``folder``, its manifest without the last table, ``[gate]``."""
    model = manifest.load(manifest.shipped(name))
    text, _, gate = (model.directory / "manifest.toml").read_text(encoding="utf-8").partition("\n[gate]\n")
    assert "[" not in gate, "the gate is not the last table any more"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.toml").write_text(text, encoding="utf-8")
    shutil.copy(model.weights_path, folder)
    return folder
