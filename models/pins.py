"""Which manifests were shipped: one with another operating point is another model than its card says."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

MANIFESTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "secondread-1.0.0": "af210821355a23131ca4fa72aa69d05f3e3c60be1053e5783401430f13604893",
        "document-cnn-1.0.0": "7b7c8bad2ae01bec9b4c3c444c0e139e80bbc487dcf400fe12ff5703ed21ed15",
    }
)
"""SHA-256 of ``manifest.toml`` of each folder beside this file."""
