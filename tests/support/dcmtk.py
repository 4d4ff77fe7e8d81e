"""DCMTK's own programs: pynetdicom installs some of the same names, which come first in an environment."""

from pathlib import Path

from tests.support.peers import require


def dcmtk(program: str) -> str:
    """Return the path of DCMTK's ``program``: it lies beside one that nobody else has."""
    return str(Path(require("dcmdjpeg")).parent / program)
