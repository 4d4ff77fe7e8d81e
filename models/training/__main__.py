"""`python -m models.training`: from images to a model, where the libraries for it are installed."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

LIBRARIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "jinja2": "jinja2",
        "matplotlib": "matplotlib",
        "sklearn": "scikit-learn",
        "threadpoolctl": "threadpoolctl",
    }
)
"""What training needs beside the node's own libraries: name of the package in Python, and of the extra."""


def main() -> None:
    """Run the command line, or say in one sentence what is to be installed first."""
    missing = [name for package, name in LIBRARIES.items() if importlib.util.find_spec(package) is None]
    if missing:
        sys.stderr.write(
            f"error: training needs {', '.join(missing)}: install the extra with "
            "pip install 'secondread[train]', or run `make train-env` in a checkout\n"
        )
        raise SystemExit(2)
    from models.training.commands import application  # noqa: PLC0415 - these imports need the libraries

    application.main()


if __name__ == "__main__":
    main()
