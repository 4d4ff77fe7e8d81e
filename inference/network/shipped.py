"""Which models are shipped, and which is used by default. Imports nothing: every command reads it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

DEFAULT: Final = "secondread-1.3.0"
"""The model that is used where the configuration names no other."""
SHIPPED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "secondread-1.3.0": "d003c8e689a70a4176fb04d73cd4806a315e0501344cca4dbdff330bd57e6b88",
        "document-cnn-1.2.0": "243be81823e0690bb18e5795ed87908f4a37b30b4b2434df84dbf72114ed9bf0",
    }
)
"""SHA-256 of each shipped manifest: with other numbers in it a model is not what its card describes."""
