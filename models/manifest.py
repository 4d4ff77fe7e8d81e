"""What a shipped model says about itself: `manifest.toml` read once into a frozen value.

Knows no TensorFlow and no pixels: the command line, the checks at start and the report read it without
loading a network. A manifest that is returned by `load` is complete and within its limits; `verify` says
whether the weights beside it are the ones it speaks of.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

DEFAULT: Final = "document-cnn-1.0.0"
"""The model that is used where the configuration names no other."""

CLASS_KEYS: Final = ("NORMAL", "BENIGN", "BENIGN_WITHOUT_CALLBACK", "MALIGNANT")
"""The classes that a network of this project has, in the order of its output."""

_FILE_NAME: Final = "manifest.toml"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CHUNK: Final = 1 << 20


class ManifestError(Exception):
    """The manifest or the weights that it names cannot be used; the message names key, value and mend."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """One shipped model: what it is, what it wants to see and how its scores are to be read."""

    directory: Path
    """Where manifest and weights lie."""
    name: str
    version: str
    manufacturer: str
    """Who answers for the algorithm (TID 4019, Algorithm Manufacturer)."""
    network: str
    """Name of the architecture in `models.networks`."""
    weights: str
    """File name of the weights inside `directory`."""
    sha256: str
    """SHA-256 of the weights, 64 lower-case hexadecimal digits."""
    rows: int
    """Height of the network's input in pixels."""
    columns: int
    """Width of the network's input in pixels."""
    preprocessing: str
    """Identifier of the preprocessing that the network was trained with, for example ``breast-crop-1``."""
    classes: tuple[str, ...]
    """Class keys in the order of the network's output."""
    meanings: Mapping[str, str]
    """What each class means, because of the labels that the network was trained on."""
    temperature: float
    """The logits are divided by it before the softmax."""
    calibrated: bool
    """Whether the temperature was fitted on out-of-fold predictions."""
    calibration_basis: str
    """On what the temperature was fitted, in words."""
    operating_point: float
    """Malignant score, 0 to 1, at or above which image and breast say so."""
    operating_point_basis: str
    """How the operating point was chosen, in words."""
    training_data_digest: str
    """SHA-256 over the training images and their labels, as `models.training prepare` prints it."""

    @property
    def weights_path(self) -> Path:
        """The file that `verify` hashes and the classifier loads."""
        return self.directory / self.weights


def shipped(name_version: str = DEFAULT) -> Path:
    """Find the folder of a model that came with this package, for example ``document-cnn-1.0.0``."""
    home = Path(__file__).parent
    there = sorted(path.parent.name for path in home.glob(f"*/{_FILE_NAME}"))
    if name_version not in there:
        raise ManifestError(
            f"no model {name_version!r} is shipped; there is {', '.join(there) or 'none at all'}"
        )
    return home / name_version


def load(directory: Path) -> Manifest:
    """Read the manifest in ``directory``.

    Raises ManifestError that names file, key, value and what is allowed.
    """
    path = directory / _FILE_NAME
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ManifestError(
            f"{path} cannot be read ({error.strerror}); name a folder with a manifest"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path} is not valid TOML: {error}") from error
    return _manifest(_Table(document, path=path), directory)


def verify(manifest: Manifest) -> None:
    """Compare the weights with the manifest's SHA-256.

    Raises ManifestError where they differ or are missing.
    """
    digest = hashlib.sha256()
    try:
        with manifest.weights_path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise ManifestError(
            f"the weights {manifest.weights_path} cannot be read ({error.strerror}); install the model again"
        ) from error
    if digest.hexdigest() != manifest.sha256:
        raise ManifestError(
            f"the weights {manifest.weights_path} have SHA-256 {digest.hexdigest()}, "
            f"but their manifest says {manifest.sha256}; install the model again"
        )


def _manifest(top: _Table, directory: Path) -> Manifest:
    weights, input_ = top.table("weights"), top.table("input")
    calibration, point = top.table("calibration"), top.table("operating_point")
    meanings = top.table("meanings")
    manifest = Manifest(
        directory=directory,
        name=top.plain_name("name"),
        version=top.plain_name("version"),
        manufacturer=top.text("manufacturer"),
        network=top.plain_name("network"),
        weights=weights.plain_name("file"),
        sha256=weights.sha256("sha256"),
        rows=input_.pixels("rows"),
        columns=input_.pixels("columns"),
        preprocessing=input_.plain_name("preprocessing"),
        classes=top.classes("classes"),
        meanings=MappingProxyType({key: meanings.text(key) for key in CLASS_KEYS}),
        temperature=calibration.number("temperature", above=0.0, up_to=100.0),
        calibrated=calibration.boolean("calibrated"),
        calibration_basis=calibration.text("basis"),
        operating_point=point.number("malignant", above=0.0, up_to=1.0),
        operating_point_basis=point.text("basis"),
        training_data_digest=top.table("training").sha256("data_digest"),
    )
    for table in (top, weights, input_, calibration, point, meanings, top.table("training")):
        table.refuse_the_rest()
    return manifest


class _Table:
    """One TOML table whose values are taken by key and kind; what nobody took is refused at the end."""

    def __init__(
        self, values: Mapping[str, Any], *, path: Path, prefix: str = "", taken: set[str] | None = None
    ) -> None:
        self._values = values
        self._path = path
        self._prefix = prefix
        self._taken: set[str] = set() if taken is None else taken

    def table(self, key: str) -> _Table:
        value = self._take(key, "a table")
        if not isinstance(value, dict):
            raise self._wrong(key, value, "a table")
        return _Table(value, path=self._path, prefix=f"{self._prefix}{key}.", taken=self._taken)

    def text(self, key: str) -> str:
        value = self._take(key, "a text")
        if not isinstance(value, str) or not value.strip():
            raise self._wrong(key, value, "a text that is not empty")
        return value

    def plain_name(self, key: str) -> str:
        allowed = "letters, digits, '.', '_' and '-', no folder"
        value = self._take(key, allowed)
        if not isinstance(value, str) or not _PLAIN_NAME.fullmatch(value):
            raise self._wrong(key, value, allowed)
        return value

    def sha256(self, key: str) -> str:
        allowed = "64 lower-case hexadecimal digits"
        value = self._take(key, allowed)
        if not isinstance(value, str) or not _SHA256.fullmatch(value):
            raise self._wrong(key, value, allowed)
        return value

    def boolean(self, key: str) -> bool:
        value = self._take(key, "true or false")
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def pixels(self, key: str) -> int:
        allowed = "a whole number from 32 to 4096"
        value = self._take(key, allowed)
        if isinstance(value, bool) or not isinstance(value, int) or not 32 <= value <= 4096:  # noqa: PLR2004
            raise self._wrong(key, value, allowed)
        return value

    def number(self, key: str, *, above: float, up_to: float) -> float:
        allowed = f"a number above {above:g} and up to {up_to:g}"
        value = self._take(key, allowed)
        if isinstance(value, bool) or not isinstance(value, int | float) or not above < value <= up_to:
            raise self._wrong(key, value, allowed)
        return float(value)

    def classes(self, key: str) -> tuple[str, ...]:
        allowed = f"{list(CLASS_KEYS)} in this order"
        value = self._take(key, allowed)
        if value != list(CLASS_KEYS):
            raise self._wrong(key, value, allowed)
        return CLASS_KEYS

    def refuse_the_rest(self) -> None:
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
