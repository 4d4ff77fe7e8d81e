"""Check that a wheel holds what the installed program needs: weights, manifests, fonts, migrations.

python -m tests.support.wheel dist/secondread-*.whl
"""

import sys
import tomllib
import zipfile
from pathlib import Path

NEEDED = (
    "inference/heatmap/fonts/LICENSE",
    "storage/database/migrations/env.py",
    "scp/__main__.py",
)
TOP_LEVEL = {"scp", "inference", "storage", "models"}


def missing(wheel):
    """Return what ``wheel`` lacks, or has too much, as sentences."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        sentences = [f"{name} is missing" for name in NEEDED if name not in names]
        manifests = sorted(name for name in names if name.endswith("/manifest.toml"))
        sentences += [] if manifests else ["there is no model in it"]
        for name in manifests:
            manifest = tomllib.loads(archive.read(name).decode())
            files = [manifest[part]["file"] for part in ("weights", "gate") if part in manifest]
            for beside in (*files, "card.md", "NOTICE.md"):
                if str(Path(name).with_name(beside)) not in names:
                    sentences.append(f"{name} has no {beside} beside it")
    strangers = {name.split("/")[0] for name in names if ".dist-info/" not in name} - TOP_LEVEL
    return sentences + [f"{name} does not belong into it" for name in sorted(strangers)]


if __name__ == "__main__":
    sys.exit("\n".join(missing(sys.argv[1])) or 0)
