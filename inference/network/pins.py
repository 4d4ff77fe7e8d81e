"""Which manifests were shipped: one with another operating point is another model than its card says."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

MANIFESTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "secondread-1.2.0": "6990ac59f2f4e5a8475852c773c6e9ce7d35c9506aab62d8ff5495f31f2f16f4",
        "document-cnn-1.1.0": "044c5a91b1c78aa01dac39e1fb9def6c7e090908fc3c96ddea8bae0427e73494",
    }
)
"""SHA-256 of ``manifest.toml`` of each folder beside this file."""
