"""The tables of a model's manifest, taken key by key: kinds and limits, and what is wrong in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

CLASS_KEYS: Final = ("NORMAL", "BENIGN", "BENIGN_WITHOUT_CALLBACK", "MALIGNANT")
"""The classes that a network of this project has, in the order of its output."""

_LARGEST_BIAS: Final = 20
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class ManifestError(Exception):
    """The manifest or the weights that it names cannot be used; the message names key, value and mend."""


class Table:
    """One TOML table whose values are taken by key and kind; what nobody took is refused at the end.

    Each method raises ManifestError where the key is missing or its value is not what it must be.
    """

    def __init__(
        self, values: Mapping[str, Any], *, path: Path, prefix: str = "", taken: set[str] | None = None
    ) -> None:
        self._values = values
        self._path = path
        self._prefix = prefix
        self._taken: set[str] = set() if taken is None else taken

    def has(self, key: str) -> bool:
        """Say whether there is such a key."""
        return key in self._values

    def table(self, key: str) -> Table:
        """Take a table inside this one."""
        value = self._take(key, "a table")
        if not isinstance(value, dict):
            raise self._wrong(key, value, "a table")
        return Table(value, path=self._path, prefix=f"{self._prefix}{key}.", taken=self._taken)

    def text(self, key: str) -> str:
        """Take a text that is not empty."""
        value = self._take(key, "a text")
        if not isinstance(value, str) or not value.strip():
            raise self._wrong(key, value, "a text that is not empty")
        return value

    def plain_name(self, key: str) -> str:
        """Take a name without a folder."""
        allowed = "letters, digits, '.', '_' and '-', no folder"
        value = self._take(key, allowed)
        if not isinstance(value, str) or not _PLAIN_NAME.fullmatch(value):
            raise self._wrong(key, value, allowed)
        return value

    def sha256(self, key: str) -> str:
        """Take 64 lower-case hexadecimal digits."""
        allowed = "64 lower-case hexadecimal digits"
        value = self._take(key, allowed)
        if not isinstance(value, str) or not _SHA256.fullmatch(value):
            raise self._wrong(key, value, allowed)
        return value

    def boolean(self, key: str) -> bool:
        """Take true or false."""
        value = self._take(key, "true or false")
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def pixels(self, key: str) -> int:
        """Take a side of the input, 32 to 4096."""
        allowed = "a whole number from 32 to 4096"
        value = self._take(key, allowed)
        if isinstance(value, bool) or not isinstance(value, int) or not 32 <= value <= 4096:  # noqa: PLR2004
            raise self._wrong(key, value, allowed)
        return value

    def number(self, key: str, *, above: float, up_to: float) -> float:
        """Take a number within its limits."""
        allowed = f"a number above {above:g} and up to {up_to:g}"
        value = self._take(key, allowed)
        if isinstance(value, bool) or not isinstance(value, int | float) or not above < value <= up_to:
            raise self._wrong(key, value, allowed)
        return float(value)

    def bias(self, key: str) -> tuple[float, ...]:
        """Take a number for each of `CLASS_KEYS`."""
        allowed = (
            f"{len(CLASS_KEYS)} numbers from {-_LARGEST_BIAS} to {_LARGEST_BIAS}, in the order of classes"
        )
        value = self._take(key, allowed)
        if not isinstance(value, list) or len(value) != len(CLASS_KEYS) or not all(map(_is_bias, value)):
            raise self._wrong(key, value, allowed)
        return tuple(map(float, value))

    def classes(self, key: str) -> tuple[str, ...]:
        """Take `CLASS_KEYS` in their order."""
        allowed = f"{list(CLASS_KEYS)} in this order"
        value = self._take(key, allowed)
        if value != list(CLASS_KEYS):
            raise self._wrong(key, value, allowed)
        return CLASS_KEYS

    def refuse_the_rest(self) -> None:
        """Refuse keys that were not taken."""
        for key, value in self._values.items():
            if self._prefix + key not in self._taken:
                raise self._wrong(key, value, "no such key")

    def _take(self, key: str, allowed: str) -> Any:  # noqa: ANN401 - TOML values are of any kind
        if key not in self._values:
            raise ManifestError(f"{self._path}: {self._prefix}{key} is missing; it must be {allowed}")
        self._taken.add(self._prefix + key)
        return self._values[key]

    def _wrong(self, key: str, value: object, allowed: str) -> ManifestError:
        return ManifestError(f"{self._path}: {self._prefix}{key} is {value!r}; allowed: {allowed}")


def _is_bias(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST_BIAS
