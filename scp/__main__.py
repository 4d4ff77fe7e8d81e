"""``python -m scp`` and the console script ``secondread``."""

from __future__ import annotations

import sys

from scp.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
