"""An older version of the program, as far as a database knows it: by its migrations."""

import shutil

from storage.database import upgrade


def scripts_until(tmp_path, revision):
    """The migrations of the version that had ``revision`` as its newest."""
    scripts = tmp_path / f"migrations until {revision}"
    shutil.copytree(upgrade.SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    for file in scripts.glob("versions/v*.py"):
        if file.name[1:5] > revision:
            file.unlink()
    return scripts
