"""Images that came after a backup that took the place of the database: the list of those to come in again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from storage.database.sqlite.creation import synced

FILE: Final = "images-to-come-again.json"
"""File in the data directory: names of files in `UNCLAIMED`, with the AE title of their sender."""


def read(data_dir: Path) -> dict[str, str]:
    """Return the images in `UNCLAIMED` that are to come in again, by file name, with their sender."""
    try:
        listed = json.loads((data_dir / FILE).read_text())
    except FileNotFoundError:
        return {}
    return {str(name): str(sender) for name, sender in listed.items()}


def note(data_dir: Path, images: Mapping[str, str]) -> None:
    """Write down which images are to come in again; the file is gone where none are."""
    if not images:
        (data_dir / FILE).unlink(missing_ok=True)
        return
    unfinished = data_dir / f"{FILE}.unfinished"
    unfinished.write_text(json.dumps(dict(images)))
    unfinished.chmod(0o600)
    synced(unfinished)
    unfinished.rename(data_dir / FILE)
    synced(data_dir)
