"""Which manifests were shipped: one with another operating point is another model than its card says."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

MANIFESTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "secondread-1.2.0": "6990ac59f2f4e5a8475852c773c6e9ce7d35c9506aab62d8ff5495f31f2f16f4",
        "document-cnn-1.0.0": "7b7c8bad2ae01bec9b4c3c444c0e139e80bbc487dcf400fe12ff5703ed21ed15",
    }
)
"""SHA-256 of ``manifest.toml`` of each folder beside this file."""
